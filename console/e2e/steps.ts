// The steps of an action on mail, for pages and flows, mock and real.
import type { Page } from 'playwright-core';

export const chart = async (page: Page) => page.locator('[data-test=bar]').first().waitFor();
export async function pickAll(page: Page) {
  await page.locator('.grid-row .checkbox').first().click();
  const all = page.locator('[data-test=select-all-matching]');
  if (await all.count()) await all.click();
  await page.locator('[data-test=act]').click();
  await page.locator('[data-test=remedy-moveToQuarantine]').waitFor();
}
export async function dryRun(page: Page) {
  await page.locator('[data-test=wizard-next]').click();
  await page.locator('[data-test=dry-mailbox]').first().waitFor();
}
/** From the dry run past the values to block, one of which may be chosen. */
export async function toOrder(page: Page, block?: string) {
  await page.locator('[data-test=wizard-next]').click();
  await page.locator('[data-at]', { hasText: /Block|ブロック/ }).waitFor({ state: 'attached' });
  if (block) await page.locator(`[data-test=block-${block}]`).first().check();
  await page.locator('[data-test=wizard-next]').click();
}
export async function order(page: Page, reason = 'INC-1042', block?: string) {
  const warned = page.locator('[data-test=confirm-warnings]');
  if (await warned.count()) await warned.check();
  await toOrder(page, block);
  await page.locator('.dialog textarea').fill(reason);
  await page.locator('[data-test=wizard-next]').click();
  await page.locator('[data-test=progress] .grid-row').first().waitFor();
}
