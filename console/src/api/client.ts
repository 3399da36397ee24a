// One door to /api/v1: JSON in and out, problem+json as errors, step-up when the server asks for it.
import type { Language, Problem, Route } from './types';

type Value = string | number | boolean | undefined | null;
/** Parameters of a request; a list is sent as the same parameter several times. */
export type Query = Record<string, Value | readonly string[]>;

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

/** What the server wants to see again before it does something: the second factor, or the password. */
export type Proof = 'factor' | 'password';
const PROOFS: Partial<Record<string, Proof>> = { step_up_required: 'factor', password_required: 'password' };

type StepUp = (proof: Proof) => Promise<boolean>;
let stepUp: StepUp = async () => false;
let onSignedOut: () => void = () => {};

/** A change that was refused because somebody else was faster. */
export interface Conflict { route: Route; change: Record<string, unknown>; current: Record<string, unknown> }
let onConflict: (conflict: Conflict) => Promise<boolean> = async () => false;

/** Names the dialogue that shows a conflict; resolves to true when the change shall be made all the same. */
export function setConflict(handler: (conflict: Conflict) => Promise<boolean>) {
  onConflict = handler;
}

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
    if (Array.isArray(value)) for (const one of value as readonly string[]) search.append(name, one);
    else if (value !== undefined && value !== null && value !== '') search.set(name, String(value));
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
    const proof = problem.status === 403 ? PROOFS[problem.code] : undefined;
    if (proof && (await stepUp(proof))) {
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

/** What a change is based on: the resource as the person saw it. */
export interface Base { version: number }

/**
 * Changes what was read as `base`. When it is no longer that and the same fields have become
 * something else, the person decides; other changes meanwhile are no conflict.
 */
export async function patch<T>(route: Route, body: object, base?: Base): Promise<T> {
  for (let seen = base as (Base & Record<string, unknown>) | undefined; ; ) {
    try {
      return await request<T>('PATCH', route, { body, ifMatch: seen?.version });
    } catch (error) {
      const current = error instanceof ApiError && error.code === 'version_conflict' ? (error.problem.current as typeof seen | null) : null;
      if (!current || typeof current.version !== 'number') throw error;
      const touched = Object.keys(body).some((field) => JSON.stringify(current[field]) !== JSON.stringify(seen?.[field]));
      if (touched && !(await onConflict({ route, change: { ...body }, current }))) throw error;
      seen = current;
    }
  }
}

export const remove = <T>(route: Route) => request<T>('DELETE', route);

/** A key that makes a repeated order the same order. */
export function orderKey(): string {
  return crypto.randomUUID();
}
