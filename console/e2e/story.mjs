// Drives the console of a real server, step by step, for the story.
//
//   node e2e/story.mjs '{"url":"https://127.0.0.1:8443","user":"admin","password":"…","totp_secret":"BASE32",
//                        "screenshots":"DIR","steps":[{"do":"incident","number":1},{"do":"approve_all"}]}'
//
// Steps: language {language}, incident {number, tab?}, alert {id}, investigation {id}, file {sha256}, device {id},
// open {path}, tab {name}, wait_text {text}, click {test}, approve_all, screenshot {name}.
// One JSON line per step: {"step","ok","note","seconds"}; exit 0 only when all succeeded. The
// server's certificate is its own, so it is not checked here. A session is kept beside the
// screenshots, because a one-time password is good for one login only.
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from './browser.mjs';
import { totp, TOTP_STEP_MS } from './totp.mjs';

const WAIT_MS = 45_000;

const settings = JSON.parse(process.argv[2] ?? process.env.HINOMI_STORY ?? '{}');
const { url, user, password, totp_secret: secret, screenshots = '.', steps = [] } = settings;
if (!url || !user || !password) {
  console.error('needs one JSON argument with url, user, password and steps');
  process.exit(2);
}
mkdirSync(screenshots, { recursive: true });
const sessionFile = join(screenshots, 'session.json');

const browser = await launch();
const context = await browser.newContext({
  ignoreHTTPSErrors: true, viewport: { width: 1440, height: 1_100 }, locale: settings.language === 'ja' ? 'ja-JP' : 'en-GB', timezoneId: settings.timezone ?? 'Asia/Tokyo',
  storageState: existsSync(sessionFile) ? sessionFile : undefined,
});
context.setDefaultTimeout(WAIT_MS);
const page = await context.newPage();
const complaints = [];
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('console', (message) => {
  if (message.type() === 'error' && /Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
});

const nextCode = () => new Promise((done) => setTimeout(done, TOTP_STEP_MS - (Date.now() % TOTP_STEP_MS) + 500));

async function signIn() {
  await page.goto(url);
  const form = page.locator('input[name=username]');
  await page.locator('.topbar').or(form).first().waitFor();
  if (await page.locator('.topbar').isVisible()) return 'session of before';
  const code = page.locator('input[name=totp]');
  const error = page.locator('form .error');
  for (let attempt = 1; ; attempt += 1) {
    await form.fill(user);
    await page.locator('input[name=password]').fill(password);
    const asked = await code.isVisible();
    if (asked) await code.fill(totp(secret, Date.now()));
    const answer = page.waitForResponse((response) => response.url().endsWith('/auth/login'));
    await page.locator('form button[type=submit]').click();
    await answer;
    await page.locator('.topbar').or(error).or(asked ? error : code).first().waitFor();
    if (await page.locator('.topbar').isVisible()) break;
    if (!asked && (await code.isVisible())) continue;
    // the code of this half minute was used before: wait for the next one
    if (!secret || attempt > 4) throw new Error(`login refused: ${await error.textContent()}`);
    await nextCode();
  }
  await context.storageState({ path: sessionFile });
  chmodSync(sessionFile, 0o600);
  return 'password and one-time password';
}

/** Answers the dialogue that asks for a fresh proof, should it come. */
async function proveIfAsked() {
  const confirm = page.locator('[data-test=step-up-confirm]');
  if (!(await confirm.isVisible())) return;
  for (let attempt = 0; attempt < 3 && (await confirm.isVisible()); attempt += 1) {
    if (attempt > 0) await nextCode();
    await page.locator('.dialog input[inputmode=numeric]').fill(totp(secret, Date.now()));
    await confirm.click();
    await Promise.race([confirm.waitFor({ state: 'detached' }), page.locator('.dialog .error').waitFor()]);
  }
}

async function pageShown() {
  await page.locator('h1').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.skeleton'));
  const broken = page.locator('.content .state[role=alert]');
  if ((await broken.count()) > 0) throw new Error(`a part could not be loaded: ${(await broken.first().innerText()).replaceAll('\n', ' ')}`);
}

const count = (selector) => page.locator(selector).count();

const acts = {
  async language({ language }) {
    await page.locator('[data-test=language]').click();
    await page.locator(`[data-test=language-${language}]`).click();
    await page.locator(`html[lang=${language}]`).waitFor({ state: 'attached' });
    return language;
  },
  async incident({ number, tab }) {
    await page.goto(`${url}/incidents/${number}${tab ? `?tab=${tab}` : ''}`);
    await page.locator('.strip').waitFor();
    if (!tab) {
      await page.locator('.marker').first().waitFor();
      await page.locator('.tree-row').first().waitFor();
    }
    await pageShown();
    const facts = (await page.locator('.strip .value').allInnerTexts()).slice(0, 4);
    return `${await page.locator('h1').innerText()}: devices ${facts[0]}, users ${facts[1]}, mailboxes ${facts[2]}, alerts ${facts[3]}; ` +
      `${await count('.marker')} timeline markers, ${await count('.tree-row')} tree rows, ${await count('.graph-node')} graph boxes`;
  },
  async alert({ id }) {
    await page.goto(`${url}/alerts/${id}`);
    await page.locator('.next-step').first().waitFor();
    await page.locator('.tree-row').or(page.locator('.state')).first().waitFor();
    await pageShown();
    const line = page.locator('[data-test=investigation-line]');
    const investigation = (await line.count()) > 0 ? (await line.first().innerText()).replaceAll('\n', ' ') : 'no investigation';
    return `${await page.locator('h1').innerText()}: ${await count('.tree-row')} tree rows, ${await count('.next-step')} next steps; ${investigation}`;
  },
  async investigation({ id }) {
    await page.goto(`${url}/investigations/${id}`);
    await page.locator('.step').first().waitFor();
    await pageShown();
    return `${await page.locator('h1').innerText()}: ${await count('.step')} steps, ${await count('.graph-node')} graph boxes`;
  },
  async file({ sha256 }) {
    await page.goto(`${url}/files/${sha256}`);
    await page.locator('.strip').waitFor();
    await pageShown();
    const facts = await page.locator('.strip .value').allInnerTexts();
    return `${await page.locator('h1').innerText()}: devices ${facts[0]}, messages ${facts[1]}, mailboxes now ${facts[2]}`;
  },
  async device({ id }) {
    await page.goto(`${url}/devices/${id}`);
    await page.locator('.grid-row').first().waitFor();
    await pageShown();
    return `${await page.locator('h1').innerText()}: ${await page.locator('.grid-foot').first().innerText()}`;
  },
  async open({ path }) {
    await page.goto(url + path);
    await pageShown();
    return page.locator('h1').innerText();
  },
  async tab({ name }) {
    await page.locator(`[data-test=tab-${name}]`).click();
    await pageShown();
    return name;
  },
  async wait_text({ text }) {
    await page.getByText(text).first().waitFor();
    return text;
  },
  async click({ test }) {
    await page.locator(`[data-test=${test}]`).first().click();
    await proveIfAsked();
    return test;
  },
  async approve_all() {
    const waiting = page.locator('[data-test=waiting]');
    await waiting.waitFor();
    const words = (await waiting.innerText()).split('\n')[0];
    await waiting.locator('[data-test=approve-all]').click();
    await page.locator('[data-test=approve-all-confirm]').click();
    const done = waiting.waitFor({ state: 'detached' });
    const proof = page.locator('[data-test=step-up-confirm]').waitFor().catch(() => {});
    const refused = page.locator('.toast.error').waitFor();
    refused.catch(() => {});
    const first = await Promise.race([done.then(() => 'done'), proof.then(() => 'proof'), refused.then(() => 'refused')]);
    if (first === 'proof') await proveIfAsked();
    if (first === 'refused') throw new Error(`approval refused: ${await page.locator('.toast.error').first().innerText()}`);
    await done;
    return `${words}: approved by clicking`;
  },
  async screenshot({ name }) {
    await page.evaluate(() => document.fonts.ready);
    const path = join(screenshots, `${String(name).replaceAll(/[^\w.-]/g, '_')}.png`);
    await page.screenshot({ path });
    return path;
  },
};

async function run(step, act) {
  const began = performance.now();
  const seconds = () => Math.round((performance.now() - began) / 10) / 100;
  try {
    const note = await act();
    if (complaints.length > 0) throw new Error(`the page complains: ${complaints.join(' | ')}`);
    console.log(JSON.stringify({ step, ok: true, note, seconds: seconds() }));
    return true;
  } catch (error) {
    await page.screenshot({ path: join(screenshots, `failed-${step}.png`) }).catch(() => {});
    console.log(JSON.stringify({ step, ok: false, error: String(error instanceof Error ? error.message : error).slice(0, 1_500), at: page.url(), seconds: seconds() }));
    return false;
  }
}

let fine = await run('sign_in', signIn);
for (const step of steps) {
  if (!fine) break;
  const act = acts[step.do];
  fine = await run(step.do, async () => {
    if (!act) throw new Error(`unknown step ${step.do}`);
    return act(step);
  });
}
await browser.close();
process.exit(fine ? 0 : 1);
