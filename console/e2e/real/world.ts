// The real server and what is outside the browser: people with their browsers, devices, mail.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launch } from '../browser.mjs';
import { complaints, settled, WAIT_MS, type Setting } from '../checks';
import { totp, TOTP_STEP_MS } from '../totp.mjs';

export const PASSWORD = 'console-only-passphrase-42';
export const ROLES = ['viewer', 'responder', 'auditor', 'administrator'] as const;
export type Role = (typeof ROLES)[number];
/** Login names by role; the first administrator is `admin`. */
export const NAMES: Record<Role, string> = { viewer: 'mori', responder: 'kato', auditor: 'ono', administrator: 'sato' };

type Ask =
  | { do: 'enrol'; token: string; name: string }
  | { do: 'mail' } | { do: 'count' }
  | { do: 'play'; scenario: string; device: string }
  | { do: 'mailboxes'; open: boolean }
  | { do: 'online'; device: string; online: boolean };

export interface Person { context: BrowserContext; page: Page; errors: string[] }

export class World {
  secret = '';
  /** Ids of devices by name. */
  devices: Record<string, string> = {};
  /** What later flows need of earlier ones. */
  known: Record<string, string> = {};
  /** Folder for screenshots. */
  shots = '';
  private lastStep = 0;
  private lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  private states: Record<string, Awaited<ReturnType<BrowserContext['storageState']>>> = {};

  private constructor(readonly base: string, readonly code: string, readonly browser: Browser) {}

  static async open(settings: { url: string; setup_code: string }): Promise<World> {
    // browsers have no passkeys on pages with certificate errors: this server's key is trusted
    const browser = await launch([`--ignore-certificate-errors-spki-list=${await keyHash(settings.url)}`]);
    return new World(settings.url, settings.setup_code, browser);
  }

  /** Keeps a screenshot of a state that passes, in both languages; nothing without `--shots`. */
  async look(name: string, path: string, ready: string, act?: (page: Page) => Promise<void>) {
    if (!this.shots) return;
    for (const language of ['en', 'ja'] as const) {
      const { page, context } = await this.person({ language, theme: 'light' }, 'admin');
      await page.goto(this.base + path);
      await settled(page, ready);
      if (act) await act(page);
      await page.screenshot({ path: join(this.shots, `${name}-${language}-light-1440.png`) });
      await context.close();
    }
  }

  /** Asks for something outside the browser. */
  async ask<T = unknown>(ask: Ask): Promise<T> {
    console.log(`@${JSON.stringify(ask)}`);
    const { value } = await this.lines.next();
    const answer = JSON.parse(String(value)) as { ok?: T; error?: string };
    if (answer.error) throw new Error(`${ask.do}: ${answer.error}`);
    return answer.ok as T;
  }

  /** A browser of its own; `name` is somebody who logged in before. */
  async person(setting: Setting, name?: string, width = 1440, height = 900): Promise<Person> {
    const context = await this.browser.newContext({
      viewport: { width, height }, locale: setting.language === 'ja' ? 'ja-JP' : 'en-GB', timezoneId: 'Asia/Tokyo',
      colorScheme: setting.theme, reducedMotion: 'reduce', storageState: name ? this.states[name] : undefined,
    });
    context.setDefaultTimeout(WAIT_MS);
    await context.addInitScript(({ language, theme }) => {
      if (!localStorage.getItem('hinomi.language')) localStorage.setItem('hinomi.language', language);
      localStorage.setItem('hinomi.theme', theme);
    }, setting);
    const page = await context.newPage();
    return { context, page, errors: complaints(page) };
  }

  /** Logs in by the form. */
  async logIn({ context, page }: Person, name: string) {
    await page.goto(`${this.base}/login`);
    await page.locator('input[name=username]').fill(name);
    await page.locator('input[name=password]').fill(PASSWORD);
    await page.locator('form button[type=submit]').click();
    await page.locator('.topbar').waitFor();
    await this.keep(context, name);
  }

  /** Remembers the session of somebody for later. Language and theme stay with the browser. */
  async keep(context: BrowserContext, name: string) {
    const state = await context.storageState();
    this.states[name] = { ...state, origins: [] };
  }

  /** A one-time password the server has not seen: it takes each once, and one step of skew. */
  async oneTime(): Promise<string> {
    for (;;) {
      const now = Math.floor(Date.now() / TOTP_STEP_MS);
      const step = Math.max(this.lastStep + 1, now - 1);
      if (step <= now + 1) {
        this.lastStep = step;
        return totp(this.secret, step * TOTP_STEP_MS);
      }
      await new Promise((done) => setTimeout(done, 200));
    }
  }

  /** Enrols a device with a token made by the API. */
  async enrol(page: Page, name: string): Promise<string> {
    const made = await api<{ line: string }>(page, 'POST', '/enrolment-tokens', { note: name });
    this.devices[name] = await this.ask<string>({ do: 'enrol', token: made.line, name });
    return this.devices[name]!;
  }
}

/** Calls the API as the page would. */
export async function api<T = unknown>(page: Page, method: string, route: string, body?: object): Promise<T> {
  const { status, text } = await page.evaluate(async ({ method, route, body }) => {
    const headers: Record<string, string> = { 'x-hinomi': '1' };
    if (body) headers['content-type'] = 'application/json';
    const answer = await fetch(`/api/v1${route}`, { method, headers, body: body ? JSON.stringify(body) : undefined });
    return { status: answer.status, text: await answer.text() };
  }, { method, route, body });
  if (status >= 400) throw new Error(`${method} ${route}: ${status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

/** Chromium's own authenticator: answers by itself, as a person who touches the key. */
export async function virtualKey({ context, page }: Person) {
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
}

async function keyHash(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((done, failed) => {
    const socket = connect({ host: hostname, port: Number(port), servername: hostname, rejectUnauthorized: false }, () => {
      const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' });
      socket.destroy();
      if (key) done(createHash('sha256').update(key).digest('base64'));
      else failed(new Error('the server shows no certificate'));
    });
    socket.once('error', failed);
  });
}
