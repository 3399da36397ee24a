// Pages × languages × themes with axe, then flows, against the typed mock backend.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launch } from './browser.mjs';
import { axe, complaints, sane, settled, tally, WAIT_MS, type Setting } from './checks';
import { flows } from './flows';
import { Mock, type Mode } from './mock';
import { pages } from './pages';
import { NOW } from './data';

const OUT = fileURLToPath(new URL('./out/', import.meta.url));
const DIST = fileURLToPath(new URL('../dist/', import.meta.url));

const { check, report } = tally();

/** A context as a person has it; every console error and broken rule of the policy counts. */
export async function open(browser: Browser, setting: Setting, options: { width?: number; height?: number } = {}) {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: options.height ?? 900 }, locale: setting.language === 'ja' ? 'ja-JP' : 'en-GB',
    timezoneId: 'Asia/Tokyo', colorScheme: setting.theme, reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(WAIT_MS);
  await context.addInitScript(({ language, theme }) => {
    localStorage.setItem('hinomi.language', language);
    localStorage.setItem('hinomi.theme', theme);
  }, setting);
  await context.clock.install({ time: NOW });
  const page = await context.newPage();
  const errors = complaints(page);
  return { context, page, errors };
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
        session ??= await open(browser, setting);
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
  // each page in one language and theme, by seed (today's, or HINOMI_SEED): every page in both within two days; --full: all four
  const full = args.includes('--full') || process.env.HINOMI_FULL === '1';
  const seed = Number(process.env.HINOMI_SEED ?? Math.floor(Date.now() / 86_400_000));
  const even = (setting: Setting) => (setting.language === 'en') === (setting.theme === 'light');
  const wanted = (index: number, setting: Setting) =>
    full || (even(setting) === (index % 2 === 0) && (setting.language === 'en') === ((Math.floor(index / 2) + seed) % 2 === 0));
  if (!full) console.log(`HINOMI_SEED=${seed}`);
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
  return report();
}
