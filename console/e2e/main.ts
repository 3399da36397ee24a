// Pages × languages × themes with axe, then flows, against the typed mock backend.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launch } from './browser.mjs';
import { flows } from './flows';
import { Mock, type Mode } from './mock';
import { pages } from './pages';
import { NOW } from './data';

type Language = 'en' | 'ja';
type Theme = 'light' | 'dark';
export interface Setting { language: Language; theme: Theme }

const OUT = fileURLToPath(new URL('./out/', import.meta.url));
const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Generous, because the machine may be busy with a build; waiting ends as soon as the thing is there. */
const WAIT_MS = 60_000;

let passed = 0;
let failed = 0;

async function check(name: string, act: () => Promise<void>) {
  const began = performance.now();
  try {
    await act();
    passed += 1;
    console.log(`ok    ${name}  ${Math.round(performance.now() - began)} ms`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${String(error instanceof Error ? (error.stack ?? error.message) : error).split('\n').filter((line) => !/^\s+at /.test(line)).slice(0, 14).join('\n      ')}`);
  }
}

/** A context as a person has it; every console error and broken rule of the policy counts. */
export async function open(browser: Browser, setting: Setting, options: { bypassCSP?: boolean; width?: number; height?: number } = {}) {
  const context = await browser.newContext({
    bypassCSP: options.bypassCSP ?? false, viewport: { width: options.width ?? 1440, height: options.height ?? 900 }, locale: setting.language === 'ja' ? 'ja-JP' : 'en-GB',
    timezoneId: 'Asia/Tokyo', colorScheme: setting.theme, reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(WAIT_MS);
  await context.addInitScript(({ language, theme }) => {
    localStorage.setItem('hinomi.language', language);
    localStorage.setItem('hinomi.theme', theme);
  }, setting);
  await context.clock.install({ time: NOW });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('console', (message) => {
    // a refused request is what some tests are about; the page shows it
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  return { context, page, errors };
}

interface AxeResult { violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }

async function axe(page: Page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(async () => {
    const tool = (globalThis as unknown as { axe: { run: (root: Document, options: object) => Promise<AxeResult> } }).axe;
    return tool.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
  });
  if (violations.length > 0) {
    throw new Error(violations.map((one) => `${one.id} (${one.impact}) ×${one.nodes.length}: ${one.nodes[0]?.html.slice(0, 220)}\n${one.nodes[0]?.failureSummary.slice(0, 300)}`).join('\n'));
  }
}

/** No sideways scrolling of the page itself, and no word that was left untranslated. */
async function sane(page: Page) {
  const problems = await page.evaluate(() => {
    const found: string[] = [];
    const root = document.scrollingElement!;
    if (root.scrollWidth > root.clientWidth + 1) found.push(`page is ${root.scrollWidth - root.clientWidth} px too wide`);
    const content = document.querySelector('.content');
    if (content && content.scrollWidth > content.clientWidth + 1) found.push(`content is ${content.scrollWidth - content.clientWidth} px too wide`);
    const raw = document.body.innerText.match(/\b(?:columns|states|words|actions|filters|story|settings)\.[a-z][A-Za-z.]+\b/g);
    if (raw) found.push(`untranslated: ${raw.join(', ')}`);
    if (document.querySelectorAll('h1').length !== 1) found.push(`${document.querySelectorAll('h1').length} h1`);
    return found;
  });
  if (problems.length > 0) throw new Error(problems.join('; '));
}

async function settled(page: Page, ready: string) {
  await page.locator(ready).first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.skeleton'));
  await page.evaluate(() => document.fonts.ready);
}

async function pageTests(browser: Browser, mock: Mock, base: string, only: string, settings: Setting[], wanted: (index: number, setting: Setting) => boolean, shots: boolean) {
  for (const setting of settings) {
    let session: { context: BrowserContext; page: Page; errors: string[] } | null = null;
    for (const [index, one] of pages.entries()) {
      if (!wanted(index, setting)) continue;
      const name = `${one.name} ${setting.language} ${setting.theme}`;
      if (!name.includes(only)) continue;
      await check(name, async () => {
        const mode: Mode = { language: setting.language, ...one.mode };
        mock.reset(mode);
        // axe is injected, which the policy rightly refuses; the flows run with the policy in force
        session ??= await open(browser, setting, { bypassCSP: true });
        const { page, errors } = session;
        errors.length = 0;
        await page.setViewportSize({ width: one.width ?? 1440, height: one.height ?? 900 });
        await page.goto(base + one.path);
        await settled(page, one.ready);
        if (one.act) await one.act(page);
        if (shots) {
          mkdirSync(OUT, { recursive: true });
          await page.screenshot({ path: `${OUT}${name.replaceAll(/[ /]/g, '-')}.png` });
        }
        await sane(page);
        await axe(page);
        if (errors.length > 0) throw new Error(`console: ${errors.join(' | ')}`);
      });
    }
    await (session as { context: BrowserContext } | null)?.context.close();
  }
}

export async function main(args: string[]): Promise<number> {
  const value = (name: string) => (args.includes(name) ? (args[args.indexOf(name) + 1] ?? '') : '');
  const only = value('--only');
  const began = performance.now();
  const mock = new Mock(DIST);
  const base = await mock.start();
  const browser = await launch();
  const every: Setting[] = (['en', 'ja'] as const).flatMap((language) => (['light', 'dark'] as const).map((theme) => ({ language, theme })));
  // each page in both languages and both themes; --full adds the other two combinations
  const even = (setting: Setting) => (setting.language === 'en') === (setting.theme === 'light');
  const wanted = (index: number, setting: Setting) => args.includes('--full') || even(setting) === (index % 2 === 0);
  try {
    if (!args.includes('--flows')) await pageTests(browser, mock, base, only, every, wanted, args.includes('--shots'));
    if (!args.includes('--pages')) {
      for (const flow of flows) {
        if (!flow.name.includes(only)) continue;
        await check(`flow: ${flow.name}`, async () => {
          mock.reset({ language: flow.setting.language, ...flow.mode });
          const { context, page, errors } = await open(browser, flow.setting, { width: flow.width });
          try {
            await flow.act({ page, mock, base, context });
            if (errors.length > 0) throw new Error(`console: ${errors.join(' | ')}`);
          } catch (error) {
            mkdirSync(OUT, { recursive: true });
            await page.screenshot({ path: `${OUT}failed-${flow.name.replaceAll(/[^a-z0-9]+/gi, '-')}.png` });
            throw error;
          } finally {
            await context.close();
          }
        });
      }
    }
  } finally {
    await browser.close();
    await mock.stop();
  }
  console.log(`in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}
