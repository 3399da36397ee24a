// A backend in memory with the API's types: serves dist/ under the server's policy, and /api/v1.
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Action, ActionSpec, AlertDetail, Device, DryRun, IncidentDetail, IndicatorImport, LiveKind, MailBulk, Me, MessageCopy, NewIndicatorImport, NewMailBulk, NewTuningRule, PreviewAutomation, Problem, ReadHeader, Receipt } from '../src/api/types';
import * as seed from './data';
import * as mail from './mail';
import * as pivot from './pivot';
import { totp } from './totp.mjs';

const TYPES: Record<string, string> = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.html': 'text/html; charset=utf-8' };
const NONCE = 'bW9jay1ub25jZQ==';
const POLICY = `default-src 'self'; script-src 'self'; style-src 'self' 'nonce-${NONCE}'; img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; require-trusted-types-for 'script'`;
const CHALLENGE = 'bW9jay1jaGFsbGVuZ2UtbW9jay1jaGFsbGVuZ2U';
export const PASSWORD = 'correct horse battery';
export const TOTP = '123456';
export const SECRET = 'JBSWY3DPEHPK3PXP';
/** The tests' clock stands still, so a fixed code is good besides the real one. */
const rightCode = (code: string) => code === TOTP || code === totp(SECRET, Date.now());

export interface Mode {
  /** Nothing ever arrived. */
  empty?: boolean;
  /** No account exists yet. */
  setup?: boolean;
  role?: 'viewer' | 'responder' | 'administrator';
  loggedOut?: boolean;
  /** These routes fail with 500. */
  broken?: RegExp;
  /** The first action of this kind needs a fresh proof. */
  stepUpFor?: ActionSpec['kind'];
  /** Actions on mail stop half-way. */
  unfinished?: boolean;
  /** The server answers slowly. */
  delay_ms?: number;
  language?: 'en' | 'ja';
}

const clone = <T>(value: T): T => structuredClone(value);

function world(empty: boolean) {
  return empty
    ? { incidents: [], alerts: [], devices: [], messages: [], actions: [], investigations: [], indicators: [], events: [], evidence: [] } as ReturnType<typeof filled>
    : filled();
}

function filled() {
  return {
    incidents: clone(seed.incidents), alerts: clone(seed.alerts), devices: clone(seed.devices), messages: clone(seed.messages), actions: clone(seed.actions),
    investigations: clone(seed.investigations), indicators: clone(seed.indicators), events: clone(seed.events), evidence: clone(seed.evidence),
  };
}

const PERMISSIONS: Record<string, Me['permissions']> = {
  viewer: ['profile', 'read'], responder: ['profile', 'read', 'triage', 'act'], administrator: ['profile', 'read', 'triage', 'act', 'audit', 'administer'],
};

class Fail extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

function fail(status: number, code: string, en: string, ja: string, field?: string, current?: object): never {
  throw new Fail({ type: 'about:blank', title: en, status, code, message_en: en, message_ja: ja, field: field ?? null, current: current as never, request_id: 'req-7f3a9c' });
}

export class Mock {
  mode: Mode = {};
  data = world(false);
  sessions = clone(seed.sessions);
  users = clone(seed.users);
  tokens = clone(seed.tokens);
  notifications = clone(seed.notifications);
  enrolment = clone(seed.enrolment);
  settings = clone(seed.settings);
  policy = clone(seed.policy);
  loggedIn = true;
  proved = false;
  passkey = '';
  tunings = clone(seed.tuningRules);
  bulks: MailBulk[] = [];
  /** One mailbox fails the first quarantine. */
  retried = false;
  calls: string[] = [];
  /** Why headers were read. */
  reasons: string[] = [];
  demos = [pivot.demo(seed.id(13, 1), 'mail-attachment-linux', 'played')];
  private streams = new Set<ServerResponse>();
  private server: Server | null = null;
  private count = 0;

  constructor(private readonly dist: string) {}

  async start(): Promise<string> {
    const server = createServer((request, response) => void this.handle(request, response));
    this.server = server;
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    // a name, because passkeys and storage want an origin, not an address
    return `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  async stop() {
    this.dropStreams();
    this.server?.closeAllConnections();
    await new Promise((done) => this.server?.close(done));
  }

  reset(mode: Mode = {}) {
    this.mode = mode;
    this.data = world(Boolean(mode.empty));
    this.sessions = clone(seed.sessions);
    this.users = clone(seed.users);
    this.tokens = clone(seed.tokens);
    this.notifications = clone(seed.notifications);
    this.enrolment = clone(seed.enrolment);
    this.settings = clone(seed.settings);
    this.policy = clone(seed.policy);
    this.loggedIn = !mode.loggedOut && !mode.setup;
    this.proved = false;
    this.tunings = mode.empty ? [] : clone(seed.tuningRules);
    this.bulks = [];
    this.retried = false;
    this.calls = [];
    this.reasons = [];
    this.demos = mode.empty ? [] : [pivot.demo(seed.id(13, 1), 'mail-attachment-linux', 'played')];
  }

  emit(kind: LiveKind, id: string) {
    this.count += 1;
    for (const stream of this.streams) stream.write(`id: ${this.count}\nevent: ${kind}\ndata: ${JSON.stringify({ id, version: this.count })}\n\n`);
  }

  dropStreams() {
    for (const stream of this.streams) stream.destroy();
    this.streams.clear();
  }

  private me(): Me {
    const role = this.mode.role ?? 'administrator';
    const user = role === 'administrator' ? this.users[0]! : { ...this.users[1]!, role };
    return { user: { ...user, language: this.mode.language ?? user.language }, permissions: PERMISSIONS[role]!, session_id: seed.id(9, 1), step_up_until: this.proved ? seed.at(-300) : null };
  }

  private async handle(request: IncomingMessage, response: ServerResponse) {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (!url.pathname.startsWith('/api/')) return this.file(url.pathname, response);
    const route = url.pathname.replace('/api/v1', '');
    const method = request.method ?? 'GET';
    if (route === '/stream') return this.stream(response);
    try {
      let body = '';
      for await (const part of request) body += String(part);
      if (this.mode.delay_ms) await new Promise((done) => setTimeout(done, this.mode.delay_ms));
      if (method !== 'GET' && request.headers['x-hinomi'] !== '1') fail(403, 'csrf', 'header missing', 'ヘッダーがありません');
      this.calls.push(`${method} ${route}`);
      if (this.mode.broken?.test(route)) fail(500, 'internal', 'The server could not answer.', 'サーバーが応答できませんでした。');
      const answer = this.answer(method, route, url.searchParams, body ? JSON.parse(body) : {}, request);
      response.writeHead(answer === undefined ? 204 : method === 'POST' && /^\/(actions|users|tokens|enrolment-tokens|mail\/bulk|indicators\/imports|indicators\/feeds\/[^/]+\/runs)$/.test(route) ? 201 : 200, { 'content-type': 'application/json' });
      response.end(answer === undefined ? undefined : JSON.stringify(answer));
    } catch (error) {
      const problem = error instanceof Fail ? error.problem : { type: 'about:blank', title: String(error), status: 500, code: 'mock', message_en: String(error), message_ja: String(error), field: null, request_id: 'req-mock' };
      response.writeHead(problem.status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify(problem));
    }
  }

  private stream(response: ServerResponse) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': hello\n\n');
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  private file(path: string, response: ServerResponse) {
    const name = normalize(join(this.dist, path));
    const known = name.startsWith(this.dist) && path !== '/' && existsSync(name) && statSync(name).isFile();
    if (known && !name.endsWith('index.html')) {
      response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' });
      createReadStream(name).pipe(response);
      return;
    }
    const html = readFileSync(join(this.dist, 'index.html'), 'utf8').replaceAll('__CSP_NONCE__', NONCE);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': POLICY });
    response.end(html);
  }

  private page<T>(items: T[], query: URLSearchParams) {
    const from = Number(query.get('cursor') ?? 0);
    const limit = Math.min(200, Number(query.get('limit') ?? 50));
    const next = from + limit < items.length ? String(from + limit) : null;
    return { items: items.slice(from, from + limit), next, total: items.length };
  }

  private incident(key: string): IncidentDetail {
    return this.data.incidents.find((incident) => incident.id === key || String(incident.number) === key) ?? fail(404, 'not_found', 'There is no such incident.', 'インシデントが見つかりません。');
  }

  private answer(method: string, route: string, query: URLSearchParams, body: Record<string, never>, request: IncomingMessage): unknown {
    const parts = route.split('/').slice(1).map(decodeURIComponent);
    const [head, key = '', sub = ''] = parts;
    if (route === '/meta') return { version: '0.1.0', setup_required: Boolean(this.mode.setup), language: 'en' };
    if (head === 'auth') return this.auth(method, parts.slice(1).join('/'), body);
    if (!this.loggedIn) fail(401, 'not_authenticated', 'Please log in.', 'ログインしてください。');
    if (method !== 'GET' && this.mode.role === 'viewer') fail(403, 'forbidden', 'This needs the role responder.', 'responder の役割が必要です。');
    const { data } = this;
    const list = (name: string) => query.get(name)?.split(',').filter(Boolean) ?? [];
    const words = (query.get('text') ?? '').toLowerCase();
    const has = (value: unknown) => !words || JSON.stringify(value).toLowerCase().includes(words);
    const within = (name: string, value: string) => list(name).length === 0 || list(name).includes(value);
    switch (head) {
      case 'incidents': {
        if (!key) {
          const me = this.me().user.name;
          const owner = query.get('assigned_to');
          const items = data.incidents.filter((one) => within('status', one.status) && within('severity', one.severity) && has([one.title, one.number]) && (!owner || (owner === 'none' ? !one.assigned_to : one.assigned_to === (owner === 'me' ? me : owner))));
          return this.page(items, query);
        }
        const incident = this.incident(key);
        const own = incident.id === seed.INCIDENT;
        if (method === 'PATCH') {
          const match = request.headers['if-match'];
          if (match && match !== `"${incident.version}"`) fail(412, 'version_conflict', 'Somebody changed it.', '他の担当者が変更しました。', undefined, incident);
          const change = body as unknown as { comment?: string; title?: string };
          const title = change.title ? { title: seed.text(change.title, change.title) } : {};
          Object.assign(incident, body, title, { version: incident.version + 1 });
          this.emit('incident.updated', incident.id);
          return incident;
        }
        if (sub === 'merge') {
          for (const number of (body as unknown as { incidents: number[] }).incidents) Object.assign(this.incident(String(number)), { status: 'redirected', redirected_to: incident.id });
          incident.took_in = [...(incident.took_in ?? []), ...(body as unknown as { incidents: number[] }).incidents];
          return incident;
        }
        if (sub === 'unmerge') {
          for (const one of data.incidents) one.took_in = (one.took_in ?? []).filter((number) => number !== incident.number);
          return Object.assign(incident, { status: 'active', redirected_to: null });
        }
        if (sub === 'comments') {
          const comment = { author: this.me().user.name, at: seed.at(0), text: (body as unknown as { text: string }).text };
          incident.comments.push(comment);
          return comment;
        }
        if (sub === 'alerts') return this.page(own ? data.alerts : data.alerts.slice(1, 2), query);
        if (sub === 'evidence') return this.page(own ? data.evidence : [], query);
        if (sub === 'timeline') return own ? seed.timeline : { lanes: [], markers: [] };
        if (sub === 'messages') return this.page(own ? data.messages.slice(0, 12) : [], query);
        if (sub === 'actions') return this.page(data.actions.filter((action) => action.incident_id === incident.id), query);
        if (sub === 'investigations') return this.page(data.investigations.filter((one) => one.incident_id === incident.id).map(summary), query);
        return incident;
      }
      case 'alerts': {
        if (!key) return this.page(data.alerts.filter((one) => within('status', one.status) && within('severity', one.severity) && within('source', one.service_source) && within('device', one.device?.id ?? '') && has(one.title)), query);
        if (key === 'move') return data.incidents[1] ?? data.incidents[0];
        if (sub === 'story') return { nodes: key === seed.id(3, 6) ? seed.largeStory : key === seed.id(3, 7) ? [] : seed.story, truncated: false };
        if (sub === 'tuning') return seed.tuningDraft;
        const alert: AlertDetail = data.alerts.find((one) => one.id === key) ?? fail(404, 'not_found', 'There is no such alert.', 'アラートが見つかりません。');
        if (sub === 'comments') {
          const comment = { author: this.me().user.name, at: seed.at(0), text: (body as unknown as { text: string }).text };
          alert.comments.push(comment);
          return comment;
        }
        if (method === 'PATCH') Object.assign(alert, body, { version: alert.version + 1 });
        return alert;
      }
      case 'investigations': {
        if (!key) return this.page(data.investigations.filter((one) => within('state', one.state)).map(summary), query);
        const found = data.investigations.find((one) => one.id === key) ?? fail(404, 'not_found', 'There is no such investigation.', '自動調査が見つかりません。');
        if (sub === 'rerun') {
          found.state = 'running';
          for (const step of found.steps) if (step.state === 'failed') Object.assign(step, { state: 'running', attempts: 2, ended_at: null });
          this.emit('investigation.progress', found.id);
        }
        if (sub === 'cancel') found.state = 'terminatedByUser';
        return found;
      }
      case 'devices': {
        if (!key) return this.page(data.devices.filter((one) => within('health', one.health) && within('online', String(one.online)) && has(one)), query);
        const device: Device = data.devices.find((one) => one.id === key) ?? fail(404, 'not_found', 'There is no such device.', '端末が見つかりません。');
        if (sub === 'events') {
          const found = data.events.filter((event) => event.DeviceId === device.id && within('table', event.Table) && has(event) && (!query.get('from') || event.Timestamp >= '2026') && (!query.get('to') || event.Timestamp < query.get('to')!));
          const { items, next } = this.page(found, query);
          return { items, next };
        }
        if (sub === 'revoke') device.health = 'revoked';
        if (method === 'PATCH') Object.assign(device, body, { version: device.version + 1 });
        return device;
      }
      case 'files': {
        if (!data.messages.length || key !== seed.SHA.script) return { sha256: key, names: [], first_seen: null, last_seen: null, devices: [], device_count: 0, messages: [], message_count: 0, counts_exact: true, indicator: null, verdict: 'unknown', alerts: [] };
        const copies = data.messages.slice(0, 12);
        if (sub === 'mailboxes') {
          return { checked_at: new Date().toISOString(), copies: copies.map((copy) => ({ copy: { message_id: copy.message_id, recipient: copy.recipient }, state: copy.latest_location === 'quarantine' ? 'removed' : 'present', folder: copy.latest_location === 'quarantine' ? null : 'INBOX', detail: '' })) };
        }
        return {
          sha256: key, names: ['invoice.sh', '請求書.sh'], first_seen: seed.at(seed.BEGIN), last_seen: seed.at(95), device_count: 1, message_count: 12, counts_exact: true, verdict: 'malicious',
          devices: [{ observable: `file:${key}`, entity: `device:${data.devices[0]!.id}`, first_seen: seed.at(seed.BEGIN - 62), last_seen: seed.at(95), count: 3, sample: data.alerts[0]!.why[0]!.event, name: '/home/tanaka/Downloads/invoice.sh' }],
          messages: copies, indicator: data.indicators.find((one) => one.spec.value === key) ?? null, alerts: data.alerts.slice(0, 3),
        };
      }
      case 'mail':
        return this.mail(method, parts.slice(1), query, body);
      case 'messages': {
        const own = data.messages.filter((copy) => copy.message_id === key);
        if (sub === 'devices') return this.page(own[0]?.attachments.length ? pivot.devices(data.devices[0]!) : [], query);
        if (sub === 'events') return { items: pivot.after(own), next: null };
        if (sub === 'header') {
          const asked = body as unknown as ReadHeader;
          if (!asked.reason.trim()) fail(400, 'bad_field', 'A reason is needed.', '理由が必要です。', 'reason');
          this.reasons.push(asked.reason);
          return pivot.header(own.find((copy) => !asked.recipient || copy.recipient === asked.recipient) ?? own[0]!);
        }
        if (key) return this.page(own, query);
        const contains = (name: string, value: string) => value.toLowerCase().includes((query.get(name) ?? '').toLowerCase());
        return this.page(data.messages.filter((copy) => contains('subject', copy.subject) && contains('sender', copy.sender_from) && contains('recipient', copy.recipient) && within('location', copy.latest_location)), query);
      }
      case 'pivot': {
        const value = query.get('value') ?? '';
        if (!value || value.includes(' ')) fail(400, 'bad_field', 'This is no value that can be followed.', '追跡できる値ではありません。', 'value');
        return pivot.pivot(value, query.get('type'), data);
      }
      case 'demos':
        if (this.mode.role && this.mode.role !== 'administrator') fail(403, 'forbidden', 'This needs the role administrator.', 'administrator の役割が必要です。');
        if (method === 'POST') {
          this.demos.unshift(pivot.demo(seed.id(13, this.demos.length + 2), (body as unknown as { name?: string }).name ?? 'mail-attachment-linux', 'playing'));
          return this.demos[0];
        }
        if (method === 'DELETE') this.demos = this.demos.filter((one) => one.demo.id !== key);
        else this.demos = this.demos.map((one) => (one.demo.state === 'playing' ? pivot.demo(one.demo.id, one.demo.name, 'played') : one));
        return method === 'DELETE' ? pivot.demo(key, 'gone', 'removing') : this.page(this.demos, query);
      case 'actions':
        return this.actions(method, key, sub, query, body);
      case 'indicators':
        if (key === 'preview') return { days: 30, devices: 3, mailboxes: 12, times: 41, exact: true, first_seen: seed.at(seed.BEGIN), last_seen: seed.at(60), alerts: 2, device_names: ['PC-TANAKA', 'PC-SATO'], mailbox_names: seed.recipients.slice(0, 3), refused: null, indicator: null };
        if (key === 'imports') return this.imports(method, query, body as unknown as NewIndicatorImport);
        if (key === 'why') return query.get('value')?.includes('supplier') ? seed.why : { ...seed.why, value: query.get('value') ?? '', decided_by: null, considered: [] };
        if (key === 'looks') return this.page(seed.looks, query);
        if (key === 'feeds') return !sub ? this.page(seed.feeds, query) : method === 'POST' ? seed.feedTest : this.page(seed.feedRuns, query);
        if (key === 'feed-runs') return seed.feedTest;
        if (sub === 'devices') return seed.reach;
        return this.page(data.indicators.filter((one) => within('kind', one.spec.kind) && within('action', one.spec.action) && has(one.spec)), query);
      case 'rules':
        return this.page(this.mode.empty ? [] : seed.ruleQuality, query);
      case 'tuning':
        return this.tuning(method, key, query, body as unknown as NewTuningRule, request);
      case 'search': {
        const q = query.get('q') ?? '';
        const hits = data.devices.filter((device) => device.name.toLowerCase().includes(q.toLowerCase())).map((device) => ({ kind: 'device', key: device.id, title: device.name, detail: device.status.os_version }));
        if (q.includes('invoice')) hits.push({ kind: 'file', key: seed.SHA.script, title: 'invoice.sh', detail: seed.SHA.script }, { kind: 'incident', key: '1042', title: 'INC-1042', detail: 'invoice.sh' });
        return { hits };
      }
      case 'audit':
        if (this.mode.role && this.mode.role !== 'administrator') fail(403, 'forbidden', 'This needs the role auditor.', 'auditor の役割が必要です。');
        if (key === 'verify') return { checked_at: seed.at(0), intact: true, first_bad: null, records: 60 };
        return this.page(seed.audit.filter((one) => one.actor.includes(query.get('actor') ?? '') && one.action.includes(query.get('action') ?? '')), query);
      case 'automation': {
        if (key === 'preview') return seed.preview((body as unknown as PreviewAutomation).automation_level ?? 'semiAll', this.mode.empty ? [] : data.actions);
        if (method === 'PATCH') this.policy = { ...this.policy, ...(body as object), version: (this.policy.version ?? 0) + 1, changed_by: 'admin', changed_at: seed.at(0) };
        return this.policy;
      }
      case 'settings':
        if (method === 'PATCH') Object.assign(this.settings, body, { version: this.settings.version + 1 });
        return this.settings;
      case 'users': {
        if (method === 'POST') {
          const user = { ...this.users[1]!, ...(body as object), id: seed.id(8, 50 + this.users.length), last_login: null, version: 1 };
          this.users.push(user);
          return user;
        }
        if (method === 'PATCH') {
          if (!this.proved) fail(403, 'step_up_required', 'Prove again that it is you.', '本人確認が必要です。');
          const user = this.users.find((one) => one.id === key)!;
          Object.assign(user, body, { version: user.version + 1 });
          return user;
        }
        return this.page(this.users, query);
      }
      case 'notifications':
        if (key === 'channels' && method === 'POST') return { ok: true, answer: '200 OK' };
        if (key === 'channels') return { items: this.mode.empty ? [] : seed.channels };
        if (method === 'POST') {
          const one = this.notifications.find((row) => row.id === key)!;
          return Object.assign(one, { state: 'sent', attempts: one.attempts + 1, answer: '200 OK' });
        }
        return this.page(this.notifications.filter((one) => within('state', one.state)), query);
      case 'tokens':
        if (method === 'POST') {
          const token = { ...this.tokens[0]!, ...(body as object), id: seed.id(10, 9), last_used: null };
          this.tokens.push(token);
          return { token, secret: 'hnm_4kq9w2y7c1' };
        }
        if (method === 'DELETE') {
          this.tokens = this.tokens.filter((one) => one.id !== key);
          return undefined;
        }
        return this.page(this.tokens, query);
      case 'enrolment-tokens':
        if (method === 'POST') {
          const token = { ...this.enrolment[1]!, id: seed.id(11, 9), note: (body as unknown as { note: string }).note, expires_at: seed.at(-86_400), created_at: seed.at(0), used_by: null };
          this.enrolment.unshift(token);
          return { token, line: 'hinomi1.eyJ1cmwiOiJodHRwczovL2hpbm9taS5leGFtcGxlOjg0NDQifQ' };
        }
        return this.page(this.enrolment, query);
      default:
        return fail(404, 'not_found', 'There is no such route.', '見つかりません。');
    }
  }

  private auth(method: string, what: string, body: Record<string, never>): unknown {
    const given = body as unknown as { name: string; password: string; totp?: string; code: string; language?: 'en' | 'ja' };
    if (what === 'login') {
      if (given.password !== PASSWORD) fail(401, 'wrong_credentials', 'Name or password is wrong.', '名前またはパスワードが違います。');
      if (!given.totp) fail(401, 'totp_required', 'One-time password needed.', 'ワンタイム パスワードが必要です。');
      if (!rightCode(given.totp)) fail(401, 'wrong_totp', 'The one-time password is wrong.', 'ワンタイム パスワードが違います。');
      this.loggedIn = true;
      return this.me();
    }
    if (what === 'setup') {
      if (given.code !== 'HINOMI-1234') fail(403, 'wrong_code', 'The one-time code is wrong.', 'ワンタイム コードが違います。', 'code');
      this.mode.setup = false;
      this.loggedIn = true;
      this.users[0] = { ...this.users[0]!, name: given.name, totp: false, passkeys: [] };
      return this.me();
    }
    const ceremony = body as unknown as { ceremony: string; name: string; credential: { rawId: string; response: { attestationObject?: string; signature?: string } } };
    if (what === 'passkeys/login/start') return { ceremony: 'c2', options: { publicKey: { challenge: CHALLENGE, rpId: 'localhost', allowCredentials: [{ type: 'public-key', id: this.passkey }], userVerification: 'preferred' } } };
    if (what === 'passkeys/login/finish') {
      if (ceremony.ceremony !== 'c2' || ceremony.credential.rawId !== this.passkey || !ceremony.credential.response.signature) fail(401, 'wrong_passkey', 'The passkey was not accepted.', 'パスキーを確認できませんでした。');
      this.loggedIn = true;
      return this.me();
    }
    if (!this.loggedIn) fail(401, 'not_authenticated', 'Please log in.', 'ログインしてください。');
    if (what === 'passkeys/register/start') {
      return { ceremony: 'c1', options: { publicKey: { challenge: CHALLENGE, rp: { id: 'localhost', name: 'Hinomi' }, user: { id: 'YWRtaW4', name: 'admin', displayName: 'admin' }, pubKeyCredParams: [{ type: 'public-key', alg: -7 }], excludeCredentials: [] } } };
    }
    if (what === 'passkeys/register/finish') {
      if (ceremony.ceremony !== 'c1' || !ceremony.credential.response.attestationObject) fail(400, 'bad_field', 'The passkey was not accepted.', 'パスキーを確認できませんでした。', 'credential');
      this.passkey = ceremony.credential.rawId;
      this.users[0] = { ...this.users[0]!, passkeys: [...this.users[0]!.passkeys, ceremony.name], version: this.users[0]!.version + 1 };
      return this.me();
    }
    if (what === 'logout') {
      this.loggedIn = false;
      return undefined;
    }
    if (what === 'totp/start') return { secret: SECRET, otpauth_url: `otpauth://totp/Hinomi:admin?secret=${SECRET}&issuer=Hinomi` };
    if (what === 'totp/finish') {
      if (!rightCode(given.code)) fail(400, 'wrong_totp', 'The code is wrong.', 'コードが違います。', 'code');
      this.users[0] = { ...this.users[0]!, totp: true, version: this.users[0]!.version + 1 };
      return this.me();
    }
    if (what === 'step-up/totp') {
      if (!rightCode(given.code)) fail(403, 'wrong_totp', 'The code is wrong.', 'コードが違います。');
      this.proved = true;
      return { step_up_until: seed.at(-300) };
    }
    if (what === 'sessions') return method === 'DELETE' ? undefined : { items: this.sessions, next: null, total: this.sessions.length };
    if (what.startsWith('sessions/')) {
      this.sessions = this.sessions.filter((one) => !what.endsWith(one.id));
      return undefined;
    }
    if (method === 'PATCH' && given.language) this.users[0] = { ...this.users[0]!, language: given.language };
    return this.me();
  }

  private mail(method: string, [what = '', more = '', how = '']: string[], query: URLSearchParams, body: unknown): unknown {
    const all = this.data.messages;
    if (what === 'crawl') return mail.crawl(Boolean(this.mode.empty));
    if (what === 'explorer') {
      const copies = mail.pick(all, mail.filterOf(query));
      if (more === 'counts') return mail.counts(copies, query.get('pivot') ?? 'delivery_action');
      if (more === 'groups') return mail.groups(copies, all);
      return { ...this.page(mail.explored(copies, all), query), total_exact: true };
    }
    if (what === 'dry-run') {
      const order = body as DryRun;
      const copies = order.filter ? mail.pick(all, order.filter) : all.filter((copy) => order.copies?.some((one) => one.message_id === copy.message_id && one.recipient === copy.recipient));
      return mail.dryRun(copies, all, order.since);
    }
    if (what === 'bulk' && method === 'POST' && !more) {
      const order = body as NewMailBulk;
      if (order.remedy === 'hardDelete' && !order.propose_only && !this.proved) fail(403, 'step_up_required', 'Prove again that it is you.', '本人確認が必要です。');
      const copies = mail.pick(all, order.filter);
      if (mail.dryRun(copies, all, null).needs_person.length > 0 && !order.confirmed && !order.propose_only) fail(409, 'needs_person', 'A person must look at this first.', '担当者の確認が必要です。');
      const action: Action = { ...clone(seed.actions[0]!), id: seed.id(6, 100 + this.data.actions.length), spec: mail.specOf(order.remedy ?? 'moveToQuarantine', copies), reason: seed.text(order.reason, order.reason), proposed_by: 'admin', decided_by: order.propose_only ? null : 'admin', incident_id: order.incident_id ?? null, investigation_id: null, created_at: seed.at(0) };
      this.data.actions.unshift(action);
      if (!order.propose_only) this.run(action);
      const blocks = (order.block ?? []).map((indicator, index): Action => ({ ...clone(action), id: seed.id(6, 200 + this.data.actions.length + index), spec: { kind: 'add_indicator', indicator }, receipts: [], follow_up: null, state: 'pendingApproval' }));
      for (const one of blocks) {
        this.data.actions.push(one);
        if (!order.propose_only) this.run(one);
      }
      const bulk = mail.bulkOf(seed.id(12, this.bulks.length + 1), order, copies, action.id, blocks.map((one) => one.id));
      this.bulks.push(bulk);
      return bulk;
    }
    const held = ({ pause: 'paused', resume: 'running', cancel: 'cancelled' } as const)[how];
    if (what === 'bulk' && held) for (const action of this.data.actions) if (this.bulks.some((bulk) => bulk.id === more && bulk.actions.includes(action.id))) action.state = held;
    if (what === 'bulk') return this.bulks.find((one) => one.id === more) ?? fail(404, 'not_found', 'There is no such removal.', '見つかりません。');
    return fail(404, 'not_found', 'There is no such route.', '見つかりません。');
  }

  private imports(method: string, query: URLSearchParams, body: NewIndicatorImport): unknown {
    const lines = method === 'GET' ? [] : body.text.split('\n').map((line) => line.trim()).filter(Boolean);
    const refused = lines.map((value, at) => ({ value, place: `line ${at + 1}` })).filter((one) => !one.value.includes('.') && one.value.length !== 64)
      .map((one) => ({ ...one, reason: { en: 'it is no hash, address, network, domain or URL', ja: '値の種類が分かりません' } }));
    const list = {
      id: seed.id(11, 1), name: 'feed.csv', by: this.me().user.name, at: seed.at(0), dry_run: method === 'POST' && !!body.dry_run, format: 'csv' as const,
      added: method === 'GET' ? 12 : lines.length - refused.length, changed: 0, unchanged: 0, refused_count: refused.length, refused, beyond_sensors: 0, removed_at: null,
    } satisfies IndicatorImport;
    return method === 'GET' ? this.page([list], query) : list;
  }

  private actions(method: string, key: string, sub: string, query: URLSearchParams, body: Record<string, never>): unknown {
    const { data } = this;
    if (method === 'GET') {
      if (key) return data.actions.find((action) => action.id === key) ?? fail(404, 'not_found', 'There is no such action.', '対処が見つかりません。');
      const states = query.get('state')?.split(',') ?? [];
      const items = data.actions.filter((action) => (!states.length || states.includes(action.state)) && (!query.get('incident') || action.incident_id === query.get('incident')) && (!query.get('investigation') || action.investigation_id === query.get('investigation')));
      return this.page(items, query);
    }
    const given = body as unknown as { ids: string[]; comment?: string; spec: ActionSpec; reason: string; incident_id?: string };
    if (!key) {
      if (this.mode.stepUpFor === given.spec.kind && !this.proved) fail(403, 'step_up_required', 'Prove again that it is you.', '本人確認が必要です。');
      const action: Action = { ...clone(seed.actions[0]!), id: seed.id(6, 100 + data.actions.length), spec: given.spec, reason: seed.text(given.reason, given.reason), proposed_by: 'admin', incident_id: given.incident_id ?? null, investigation_id: null, created_at: seed.at(0) };
      data.actions.unshift(action);
      this.run(action);
      return action;
    }
    const many = key === 'approve' || key === 'decline';
    const ids = many ? given.ids : [key];
    const verb = many ? key : sub;
    const done = ids.map((one) => data.actions.find((action) => action.id === one) ?? fail(404, 'not_found', 'There is no such action.', '対処が見つかりません。'));
    const errors = new Map<string, Problem>();
    for (const action of done) {
      if (verb === 'again') {
        const again: Action = { ...clone(action), id: seed.id(6, 100 + data.actions.length), proposed_by: 'admin', approval: seed.approval({ given: [{ by: 'admin', at: seed.at(0), comment: null }] }), created_at: seed.at(0) };
        action.approval = { ...action.approval, again: again.id };
        data.actions.unshift(again);
        this.run(again);
        return again;
      }
      const { needed, given: before } = action.approval;
      if (verb === 'approve' && before.some((one) => one.by === 'admin')) {
        errors.set(action.id, { type: 'about:blank', title: 'same person', status: 409, code: 'same_person', message_en: '2 different persons must approve this; you did already', message_ja: '2 人の異なる担当者の承認が必要です。すでに承認済みです', field: null, request_id: '' });
        continue;
      }
      if (verb === 'approve' && needed > 1) action.approval = { ...action.approval, given: [...before, { by: 'admin', at: seed.at(0), comment: null }] };
      if (verb === 'approve' && before.length + 1 < needed) continue;
      Object.assign(action, { decided_by: 'admin', decided_at: seed.at(0), comment: given.comment ?? null });
      if (verb === 'decline') action.state = 'declined';
      else if (sub === 'cancel') action.state = 'cancelled';
      else if (sub === 'pause') action.state = 'paused';
      else if (sub === 'disarm') Object.assign(action.follow_up!, { disarmed_at: seed.at(0), disarmed_by: 'admin' });
      else if (sub === 'undo') this.undo(action);
      else this.run(action);
    }
    this.emit('action.updated', ids[0]!);
    const refused = errors.get(ids[0]!);
    if (!many && refused) throw new Fail(refused);
    return many ? { results: done.map((action) => ({ id: action.id, action: errors.has(action.id) ? null : action, error: errors.get(action.id) ?? null })) } : done[0];
  }

  private tuning(method: string, key: string, query: URLSearchParams, body: NewTuningRule, request: IncomingMessage) {
    if (key === 'preview') return seed.tuningPreview;
    if (!key && method === 'POST') {
      const rule = { ...body, id: seed.id(14, 100 + this.tunings.length), severity: body.severity ?? null, expires_at: body.expires_at ?? null, enabled: body.enabled ?? true, comment: body.comment ?? '', owner: this.me().user.name, created_at: seed.at(0), changed_by: this.me().user.name, changed_at: seed.at(0), hits: 0, last_hit: null, version: 1 };
      this.tunings.unshift(rule);
      return rule;
    }
    if (!key) return this.page(this.tunings, query);
    const rule = this.tunings.find((one) => one.id === key) ?? fail(404, 'not_found', 'There is no such rule.', 'ルールが見つかりません。');
    const match = request.headers['if-match'];
    if (match && match !== `"${rule.version}"`) fail(412, 'version_conflict', 'Somebody changed it.', '他の担当者が変更しました。', undefined, rule);
    if (method === 'PATCH') Object.assign(rule, body, { version: rule.version + 1 });
    if (method === 'DELETE') this.tunings = this.tunings.filter((one) => one !== rule);
    return rule;
  }

  private run(action: Action) {
    const { data } = this;
    const receipt = (target: string, en: string, ja: string, proof: object | null): Receipt => ({ target, state: 'done', detail: seed.text(en, ja), proof: proof && JSON.stringify(proof), at: seed.at(0) });
    const spec = action.spec;
    action.state = 'succeeded';
    action.finished_at = seed.at(0);
    if ('copies' in spec) {
      const failing = (recipient: string) => spec.kind === 'quarantine_messages' && recipient.startsWith('kobayashi@') && !this.retried;
      action.receipts = spec.copies.map((copy, index) => failing(copy.recipient)
        ? { ...receipt(`messageCopy:${copy.message_id}/${copy.recipient}`, 'LOGIN failed: user is over quota', 'LOGIN に失敗: 容量の上限を超えています', null), state: 'failed' as const }
        : receipt(`messageCopy:${copy.message_id}/${copy.recipient}`, 'expunged from INBOX, UID is gone', 'INBOX から削除、UID の消失を確認', { folder: 'INBOX', uid: 40 + index, uidvalidity: 1763, copyuid: `1763 ${40 + index} ${90 + index}` }));
      if (action.receipts.some((one) => one.state === 'failed')) action.state = 'partiallySucceeded';
      if (this.mode.unfinished) Object.assign(action, { state: 'running', finished_at: null, receipts: action.receipts.slice(0, 7).map((one, index) => (index === 6 ? { ...one, state: 'running', proof: null } : one)) });
      this.retried = true;
      action.follow_up = spec.kind === 'quarantine_messages' ? { until: seed.at(-172_800), disarmed_at: null, disarmed_by: null, receipts: [] } : null;
      this.place(action, spec.kind === 'move_messages_to_junk' ? 'junkFolder' : spec.kind === 'move_messages_to_deleted_items' ? 'deletedItems' : spec.kind === 'move_messages_to_inbox' ? 'inbox' : 'quarantine', `action:${action.id}`);
    } else if (spec.kind === 'stop_process_tree') {
      action.receipts = [receipt(`device:${spec.process.split('/')[0]}`, '3 processes stopped', 'プロセス 3 個を停止', { killed: [4711, 4712, 4733] })];
    } else if (spec.kind === 'add_indicator') {
      data.indicators.unshift({ id: seed.id(7, 50 + data.indicators.length), spec: spec.indicator, created_by: action.proposed_by, created_at: seed.at(0), incident_id: action.incident_id ?? null, import_id: null, list_version: null, hits: 0, last_hit: null, version: 1 });
      action.receipts = [receipt(`device:${data.devices[0]!.id}`, 'block list version 13 in force', 'ブロック リスト 13 版を適用', { block_list_version: 13 })];
    } else if ('device_id' in spec) {
      const device = data.devices.find((one) => one.id === spec.device_id);
      if (device && spec.kind === 'isolate_device') device.isolation = 'isolated';
      if (device && spec.kind === 'release_device') device.isolation = 'notIsolated';
      action.receipts = [receipt(`device:${spec.device_id}`, 'confirmed by the sensor', 'センサーが確認', null)];
    }
    this.settle();
  }

  private undo(action: Action) {
    action.state = 'undone';
    action.undone_by = seed.id(6, 900);
    action.receipts = action.receipts.map((one) => ({ ...one, state: 'undone' }));
    const spec = action.spec;
    if ('copies' in spec) this.place(action, 'inbox', `action:${action.undone_by}`);
  }

  /** The copies an action reached are somewhere else now. */
  private place(action: Action, location: MessageCopy['latest_location'], by: string) {
    const reached = new Set(action.receipts.filter((one) => one.state !== 'failed').map((one) => one.target));
    for (const copy of this.data.messages) {
      if (!reached.has(`messageCopy:${copy.message_id}/${copy.recipient}`)) continue;
      Object.assign(copy, { latest_location: location, folder: location === 'quarantine' ? null : 'INBOX', moved_by: by, moved_at: seed.at(0) });
    }
  }

  private settle() {
    const { data } = this;
    const waiting = data.actions.filter((action) => action.state === 'pendingApproval' && action.incident_id === seed.INCIDENT).length;
    const incident = data.incidents.find((one) => one.id === seed.INCIDENT);
    if (!incident) return;
    incident.pending_actions = waiting;
    if (waiting > 0) return;
    incident.status = 'inProgress';
    incident.investigation_state = 'successfullyRemediated';
    for (const item of data.evidence) if (item.remediation_status === 'pendingApproval') item.remediation_status = 'remediated';
    const investigation = data.investigations[0];
    if (investigation) Object.assign(investigation, { state: 'successfullyRemediated', state_reason: null, ended_at: seed.at(0), evidence: data.evidence });
  }
}

function summary(one: ReturnType<typeof filled>['investigations'][number]) {
  const { id, number, playbook, title, state, state_reason, alert_id, incident_id, device, automation_level, actions, started_at, ended_at, version } = one;
  const count = (verdict: string) => one.evidence.filter((item) => item.verdict === verdict).length;
  return { id, number, playbook, title, state, state_reason, alert_id, incident_id, device, automation_level, actions, started_at, ended_at, version, entities: one.evidence.length, malicious: count('malicious'), suspicious: count('suspicious') };
}
