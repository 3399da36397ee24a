// What every browser test needs: counting, waiting, axe, and what no page may have.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import type { BrowserContext, Page } from 'playwright-core';
import type { Mock, Mode } from './mock';

export interface Setting { language: 'en' | 'ja'; theme: 'light' | 'dark' }

interface Tools { page: Page; mock: Mock; base: string; context: BrowserContext }
/** What somebody does from end to end. */
export interface Flow { name: string; setting: Setting; mode?: Mode; width?: number; act: (tools: Tools) => Promise<void> }

/** Generous, because the machine may be busy with a build; waiting ends as soon as the thing is there. */
export const WAIT_MS = 60_000;

/** Between two looks at a condition that the browser does not tell of. */
const POLL_MS = 20;

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Runs work side by side, as many at a time as there are processors. */
export async function sideBySide(work: (() => Promise<void>)[]) {
  const rest = work.values();
  const lane = async () => { for (const one of rest) await one(); };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, lane));
}

/** Counts tests and ends with one plain line. */
export function tally() {
  let passed = 0;
  let failed = 0;
  const check = async (name: string, act: () => Promise<void | string>) => {
    const began = performance.now();
    try {
      const note = await act();
      passed += 1;
      console.log(`ok    ${name}  ${Math.round(performance.now() - began)} ms${note ? `  (${note})` : ''}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error instanceof Error ? (error.stack ?? error.message) : error).split('\n').filter((line) => !/^\s+at .*node_modules/.test(line)).slice(0, 14).join('\n      ')}`);
    }
  };
  const report = () => {
    console.log(`${passed} passed, ${failed} failed`);
    return failed === 0 && passed > 0 ? 0 : 1;
  };
  return { check, report };
}

export function expect(truth: unknown, what: string): asserts truth {
  if (!truth) throw new Error(`expected: ${what}`);
}

export async function until(what: string, truth: () => Promise<boolean> | boolean) {
  const end = Date.now() + WAIT_MS;
  while (Date.now() < end) {
    if (await truth()) return;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  throw new Error(`timed out waiting for: ${what}`);
}

/** Collects console errors, uncaught exceptions and broken rules of the content security policy. */
export function complaints(page: Page): string[] {
  const errors: string[] = [];
  page.on('console', (message) => {
    // a refused request is what some tests are about; the page shows it
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  return errors;
}

interface AxeResult { violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }

/** Injected by the debugger, so that the page's content security policy stays in force. */
export async function axe(page: Page) {
  const devtools = await page.context().newCDPSession(page);
  try {
    await devtools.send('Runtime.evaluate', { expression: AXE, allowUnsafeEvalBlockedByCSP: true });
  } finally {
    await devtools.detach();
  }
  const { violations } = await page.evaluate(async () => {
    const tool = (globalThis as unknown as { axe: { run: (root: Document, options: object) => Promise<AxeResult> } }).axe;
    return tool.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
  });
  if (violations.length > 0) {
    throw new Error(violations.map((one) => `${one.id} (${one.impact}) ×${one.nodes.length}: ${one.nodes[0]?.html.slice(0, 220)}\n${one.nodes[0]?.failureSummary.slice(0, 300)}`).join('\n'));
  }
}

/** No sideways scrolling of the page itself, and no word that was left untranslated. */
export async function sane(page: Page) {
  const problems = await page.evaluate(() => {
    const found: string[] = [];
    const root = document.scrollingElement!;
    if (root.scrollWidth > root.clientWidth + 1) found.push(`page is ${root.scrollWidth - root.clientWidth} px too wide`);
    const content = document.querySelector('.content');
    if (content && content.scrollWidth > content.clientWidth + 1) found.push(`content is ${content.scrollWidth - content.clientWidth} px too wide`);
    // settings.update is an action of the audit log
    const raw = document.body.innerText.match(/\b(?:columns|states|words|actions|filters|story|settings)\.(?!update\b)[a-z][A-Za-z.]+\b/g);
    if (raw) found.push(`untranslated: ${raw.join(', ')}`);
    if (document.querySelectorAll('h1').length !== 1) found.push(`${document.querySelectorAll('h1').length} h1`);
    return found;
  });
  if (problems.length > 0) throw new Error(problems.join('; '));
}

export async function settled(page: Page, ready: string) {
  await page.locator(ready).first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.skeleton'));
  await page.evaluate(() => document.fonts.ready);
}
