// What people do with mail: find it, look before acting, act on all of it, see the receipts, take it back.
import { messages } from './data';
import { dryRun, order, pickAll } from './steps';
import { TOTP } from './mock';
import { expect, until, type Flow } from './checks';

const SUBJECT = messages[0]!.subject;
const STORY = messages[0]!.message_id;

export const mailFlows: Flow[] = [
  {
    name: 'explorer: filters by typing, by the form, by the chart; the address carries them',
    setting: { language: 'en', theme: 'light' },
    act: async ({ page, base }) => {
      await page.goto(`${base}/mail`);
      await page.locator('[data-test=mail-search]').fill('sender:billing@supplier-invoices.example');
      await page.keyboard.press('Enter');
      await page.locator('[data-test=token][data-field=sender]').waitFor();
      await until('one message', async () => (await page.locator('.grid-row').count()) === 1);
      await page.getByRole('button', { name: /^Remove the filter Sender/ }).click();
      await page.locator('[data-test=add-filter]').click();
      await page.locator('[data-test=filter-field]').selectOption('sender_domain');
      await page.getByLabel('Condition').selectOption('true');
      await page.locator('[data-test=filter-done]').click();
      await page.getByText('Give a value.').waitFor();
      await page.locator('[data-test=filter-value]').fill('supplier-invoices.example');
      await page.keyboard.press('Enter');
      await page.locator('[data-test=legend]', { hasText: 'Suspicious' }).click();
      await until('both are in the address', () => page.url().includes('not.sender_domain=supplier-invoices.example') && page.url().includes('verdict=suspicious'));
      const before = await page.locator('.grid-row').count();
      await page.locator('[data-test=bar]').first().click();
      await until('fewer in a bar', async () => { const now = await page.locator('.grid-row').count(); return now > 0 && now < before; });
      const shared = page.url();
      await page.goto(`${base}/incidents`);
      await page.goto(shared);
      await until('the same again', async () => (await page.locator('[data-test=token]').count()) === 2 && (await page.locator('.grid-row').count()) > 0);
      await page.locator('[data-test=clear-filters]').click();
      await until('everything', async () => (await page.locator('.grid-foot').textContent())?.startsWith('31 of 31') ?? false);
      // the keyboard moves, looks and selects
      await page.locator('.grid-row').first().focus();
      await page.keyboard.press('x');
      await page.getByText('1 selected').waitFor();
      await page.locator('.grid-row').first().click();
      await page.locator('.pane [data-test=copy]').nth(11).waitFor();
      await page.locator('[data-test=same-campaign]').click();
      await page.locator('[data-test=token][data-field=campaign]').waitFor();
      await page.keyboard.press('Escape');
      await page.locator('.pane').waitFor({ state: 'detached' });
    },
  },
  {
    name: 'action by filter: dry run with its warnings, receipts, retry of the failed one, undo',
    setting: { language: 'en', theme: 'dark' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/mail?subject=${encodeURIComponent(SUBJECT)}`);
      await pickAll(page);
      await dryRun(page);
      expect((await page.locator('[data-test=dry-present]').textContent()) === '12', 'twelve copies');
      await page.locator('[data-test=differing]').getByText('the body differs').waitFor();
      await page.getByText('Protected', { exact: true }).waitFor();
      expect((await page.locator('[data-test=wizard-next]').getAttribute('aria-disabled')) === 'true', 'the warnings must be read first');
      await order(page, 'November invoices');
      expect(/\/mail\/bulk\//.test(page.url()), 'a page of its own');
      await page.locator('[data-test=state-failed]').click();
      await until('only the failed one', async () => (await page.locator('[data-test=progress] .grid-row').count()) === 1);
      await page.locator('[data-test=progress] .grid-row').click();
      await page.locator('.dialog').getByText('user is over quota').waitFor();
      await page.keyboard.press('Escape');
      await page.locator('[data-test=retry]').click();
      await page.locator('[data-test=state-failed]').waitFor({ state: 'detached' });
      await page.locator('[data-test=follow-up]').getByText('Late copies are treated until').waitFor();
      await page.locator('[data-test=disarm]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await page.getByText('disarmed by admin').waitFor();
      await until('all twelve are out', () => mock.data.messages.slice(0, 12).every((copy) => copy.latest_location === 'quarantine'));
      await page.goto(`${base}/mail/${STORY}`);
      await page.locator('[data-test=timeline]').getByText('Moved to Quarantine').first().waitFor();
      await page.locator('[data-test=timeline]').getByRole('link', { name: 'Progress and receipts' }).first().click();
      await page.locator('[data-test=undo]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await page.locator('[data-test=undone-by]').waitFor();
      await until('put back', () => mock.data.messages.slice(0, 12).some((copy) => copy.latest_location === 'inbox'));
    },
  },
  {
    name: 'a group is one row; hard delete asks for a proof, is held, goes on, is stopped',
    setting: { language: 'ja', theme: 'light' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/mail?group=campaign`);
      const group = page.locator('[data-test=group]', { hasText: SUBJECT });
      await group.locator('[data-test=group-open]').click();
      await page.locator('[data-test=token][data-field=campaign]').waitFor();
      await page.locator('.grid-row').first().click();
      await page.locator('[data-test=pane-act]').click();
      await page.locator('[data-test=remedy-hardDelete]').check();
      await dryRun(page);
      await page.locator('[data-test=confirm-warnings]').check();
      await page.locator('[data-test=wizard-next]').click();
      mock.mode.unfinished = true;
      await page.locator('.dialog textarea').fill('検体を確認済み');
      await page.locator('[data-test=wizard-next]').click();
      await page.locator('.dialog input[inputmode=numeric]').fill(TOTP);
      await page.locator('[data-test=step-up-confirm]').click();
      await page.locator('[data-test=progress] .grid-row').nth(11).waitFor();
      expect(mock.data.actions[0]!.spec.kind === 'hard_delete_messages', 'a hard delete');
      await page.locator('[data-test=pause]').click();
      await page.locator('[data-test=resume]').click();
      await page.locator('[data-test=pause]').waitFor();
      await page.locator('[data-test=cancel]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await page.locator('[data-test=cancel]').waitFor({ state: 'detached' });
      expect((await page.locator('[data-test=undo]').count()) === 0, 'no undo is offered');
    },
  },
];
