// One door to /api/v1: JSON in and out, problem+json as errors, step-up when the server asks for it.
import type { Language, Problem, Route } from './types';

export type Query = Record<string, string | number | boolean | undefined | null>;

/** What is known of a failure; a proxy in between may answer less than the server does. */
export type ProblemLike = Partial<Problem> & Pick<Problem, 'title' | 'status' | 'code'>;

export class ApiError extends Error {
  constructor(readonly problem: ProblemLike) {
    super(problem.title);
  }
  get status() {
    return this.problem.status;
  }
  get code() {
    return this.problem.code;
  }
  text(language: Language) {
    return (language === 'ja' ? this.problem.message_ja : this.problem.message_en) || this.problem.title;
  }
}

export interface Options {
  query?: Query;
  body?: unknown;
  /** Version the change is based on; the server answers 412 when somebody was faster. */
  ifMatch?: number;
  idempotencyKey?: string;
  signal?: AbortSignal;
}

type StepUp = () => Promise<boolean>;
let stepUp: StepUp = async () => false;
let onSignedOut: () => void = () => {};

/** Names the dialogue that proves the person again; resolves to true when it succeeded. */
export function setStepUp(handler: StepUp) {
  stepUp = handler;
}

/** Names what happens when the session ended. */
export function setSignedOut(handler: () => void) {
  onSignedOut = handler;
}

export function path(template: string, query?: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `${template}?${text}` : template;
}

async function problemOf(response: Response): Promise<ProblemLike> {
  const fallback: ProblemLike = {
    title: `${response.status} ${response.statusText}`.trim(),
    status: response.status,
    code: `http_${response.status}`,
    request_id: response.headers.get('x-request-id') ?? undefined,
  };
  try {
    return { ...fallback, ...((await response.json()) as Partial<ProblemLike>) };
  } catch {
    return fallback;
  }
}

async function once(method: string, url: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['x-hinomi'] = '1';
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  if (options.ifMatch !== undefined) headers['if-match'] = `"${options.ifMatch}"`;
  if (options.idempotencyKey) headers['idempotency-key'] = options.idempotencyKey;
  try {
    return await fetch(url, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
      credentials: 'same-origin',
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError({
      title: 'network', status: 0, code: 'network',
      message_en: 'The server cannot be reached.', message_ja: 'サーバーに接続できません。',
    });
  }
}

export async function request<T>(method: string, route: Route, options: Options = {}): Promise<T> {
  const url = path(`/api/v1${route}`, options.query);
  let response = await once(method, url, options);
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.status === 403 && problem.code === 'step_up_required' && (await stepUp())) {
      response = await once(method, url, options);
      if (!response.ok) throw new ApiError(await problemOf(response));
    } else {
      if (problem.status === 401 && !route.startsWith('/auth/')) onSignedOut();
      throw new ApiError(problem);
    }
  }
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(route: Route, options?: Options) => request<T>('GET', route, options);
export const post = <T>(route: Route, body: unknown = {}, options?: Options) =>
  request<T>('POST', route, { ...options, body });
export const patch = <T>(route: Route, body: unknown, ifMatch?: number) =>
  request<T>('PATCH', route, { body, ifMatch });
export const remove = <T>(route: Route) => request<T>('DELETE', route);

/** A key that makes a repeated order the same order. */
export function orderKey(): string {
  return crypto.randomUUID();
}
