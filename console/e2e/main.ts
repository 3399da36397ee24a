// Pages × languages × themes with axe, then flows, against the typed mock backend.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { launch } from './browser.mjs';
import { axe, complaints, sane, settled, sideBySide, tally, WAIT_MS, type Setting } from './checks';
import { flows } from './flows';
import { Mock } from './mock';
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

interface Lane { browser: Browser; mock: Mock; base: string }

/** The pages in one language and theme. */
async function pageTests({ browser, mock, base }: Lane, setting: Setting, wanted: typeof pages, shots: boolean) {
  const { context, page, errors } = await open(browser, setting);
  for (const one of wanted) {
    const name = pageName(one, setting);
    await check(name, async () => {
      mock.reset({ language: setting.language, ...one.mode });
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
  await context.close();
}

const pageName = (one: { name: string }, setting: Setting) => `${one.name} ${setting.language} ${setting.theme}`;

async function flowTests({ browser, mock, base }: Lane, wanted: typeof flows) {
  for (const flow of wanted) {
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

export async function main(args: string[]): Promise<number> {
  const value = (name: string) => (args.includes(name) ? (args[args.indexOf(name) + 1] ?? '') : '');
  const only = value('--only').split(',');
  const named = (name: string) => only.some((one) => name.includes(one));
  const began = performance.now();
  const browser = await launch();
  const every: Setting[] = (['en', 'ja'] as const).flatMap((language) => (['light', 'dark'] as const).map((theme) => ({ language, theme })));
  // each page in one language and theme, by seed (today's, or HINOMI_SEED): every page in both within two days; --full: all four
  const full = args.includes('--full') || process.env.HINOMI_FULL === '1';
  const seed = Number(process.env.HINOMI_SEED ?? Math.floor(Date.now() / 86_400_000));
  const even = (setting: Setting) => (setting.language === 'en') === (setting.theme === 'light');
  const wanted = (index: number, setting: Setting) =>
    full || (even(setting) === (index % 2 === 0) && (setting.language === 'en') === ((Math.floor(index / 2) + seed) % 2 === 0));
  if (!full) console.log(`HINOMI_SEED=${seed}`);
  // each with a backend of its own, so that they run side by side
  const lane = async (act: (lane: Lane) => Promise<void>) => {
    const mock = new Mock(DIST);
    try {
      await act({ browser, mock, base: await mock.start() });
    } finally {
      await mock.stop();
    }
  };
  const work: (() => Promise<void>)[] = [];
  if (!args.includes('--pages')) work.push(() => lane((own) => flowTests(own, flows.filter((flow) => named(flow.name)))));
  for (const setting of args.includes('--flows') ? [] : every) {
    const chosen = pages.filter((one, index) => wanted(index, setting) && named(pageName(one, setting)));
    if (chosen.length > 0) work.push(() => lane((own) => pageTests(own, setting, chosen, args.includes('--shots'))));
  }
  try {
    await sideBySide(work);
  } finally {
    await browser.close();
  }
  console.log(`in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return report();
}
