// What people do with mail: find it, look before acting, act on all of it, see the receipts, take it back.
import { id, messages, SENDER, SHA } from './data';
import { dryRun, order, pickAll, toOrder } from './steps';
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
      await toOrder(page);
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
  {
    name: 'values are blocked with the order, and each is undone alone',
    setting: { language: 'en', theme: 'light' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/mail?verdict=suspicious&range=all`);
      const many = new Set(mock.data.messages.filter((copy) => copy.verdict === 'suspicious').map((copy) => copy.message_id)).size;
      await pickAll(page);
      await page.locator('.dialog').getByText(`Everything that matches the filter: ${many} messages`).waitFor();
      mock.data.messages.push({ ...mock.data.messages.find((copy) => copy.verdict === 'suspicious')!, message_id: id(5, 700) });
      await page.clock.runFor(6_000);
      await page.locator('.dialog').getByText(`${many + 1} messages`).waitFor();
      await page.keyboard.press('Escape');
      await page.goto(`${base}/mail?subject=${encodeURIComponent(SUBJECT)}`);
      await pickAll(page);
      await dryRun(page);
      await page.locator('[data-test=confirm-warnings]').check();
      await page.locator('[data-test=wizard-next]').click();
      await page.locator('[data-test=block-senderAddress]').check();
      await page.locator('[data-test=block-fileSha256]').first().check();
      await page.getByLabel('Expires').selectOption('30');
      await page.locator('[data-test=wizard-next]').click();
      await page.locator('.dialog').getByText(`Sender: ${SENDER}`).waitFor();
      await page.locator('[data-test=wizard-name]').fill('November invoices');
      await page.locator('.dialog textarea').fill('malicious');
      await page.locator('[data-test=wizard-next]').click();
      await until('both are blocked', async () => (await page.locator('[data-test=blocks] [data-test=action]').count()) === 2);
      const ordered = mock.bulks[0]!;
      expect(ordered.reason === 'November invoices: malicious', `the name is kept: ${ordered.reason}`);
      const made = mock.data.indicators.filter((one) => one.spec.value === SENDER || one.spec.kind === 'fileSha256' && one.spec.action === 'block');
      expect(made.length === 2 && made.every((one) => Date.parse(one.spec.expires_at!) > Date.now()), 'two indicators that end');
      await page.locator('[data-test=blocks] [data-kind=add_indicator]').first().locator('[data-test=undo]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await page.locator('[data-test=blocks] [data-state=undone]').waitFor();
      expect(mock.data.messages.slice(0, 12).filter((copy) => copy.latest_location === 'quarantine').length === 11, 'the mails stay where they are');
    },
  },
  {
    name: 'under a filter on recipients only their copies are taken; the address keeps what is picked',
    setting: { language: 'en', theme: 'light' },
    act: async ({ page, mock, base }) => {
      const { recipient } = mock.data.messages[3]!;
      await page.goto(`${base}/mail?recipient=${recipient}&subject=${encodeURIComponent(SUBJECT)}`);
      await page.locator('.grid-row .checkbox').first().click();
      await page.getByText('1 selected').waitFor();
      await page.reload();
      await page.getByText('1 selected').waitFor();
      await page.locator('[data-test=act]').click();
      await page.locator('[data-test=narrow]').getByText(`Recipient: ${recipient}`).waitFor();
      await dryRun(page);
      expect((await page.locator('[data-test=dry-present]').textContent()) === '1', 'one copy');
      await order(page, 'the wrong person');
      await until('it alone is out', () => mock.data.messages.slice(0, 12).filter((copy) => copy.latest_location === 'quarantine').map((copy) => copy.recipient).join() === recipient);
      await page.goto(`${base}/mail?recipient=${recipient}&all=1&picked=x`);
      await page.getByText(/^All .* selected$/).waitFor();
    },
  },
  {
    name: 'more than a condition holds is picked by hand and acted on copy by copy',
    setting: { language: 'en', theme: 'dark' },
    act: async ({ page, mock, base }) => {
      const first = mock.data.messages[0]!;
      for (let n = 0; n < 60; n += 1) mock.data.messages.push({ ...first, message_id: id(5, 500 + n), subject: `picked ${n}`, sender_from: 'many@elsewhere.example', recipient: 'tanaka@hinomi.example' });
      await page.goto(`${base}/mail?sender=many@elsewhere.example&range=all`);
      await page.locator('.grid-row').first().waitFor();
      await page.locator('.grid-head .checkbox').check();
      await page.getByText('60 selected').waitFor();
      await page.locator('[data-test=act]').click();
      await page.locator('.dialog').getByText('60 copies').waitFor();
      await dryRun(page);
      await order(page, 'all of them');
      expect(/\/actions\//.test(page.url()), 'one action');
      const spec = mock.data.actions[0]!.spec;
      expect('copies' in spec && spec.copies.length === 60, 'sixty copies');
    },
  },
  {
    name: 'the header is read with a reason, on record; forged lines are told from proof; direction marks are shown',
    setting: { language: 'en', theme: 'light' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/mail/${STORY}`);
      await page.locator('[data-test=read-header]').click();
      expect((await page.locator('[data-test=header-confirm]').getAttribute('aria-disabled')) === 'true', 'no reason, no header');
      await page.locator('.dialog textarea').fill('is it really from them?');
      await page.locator('[data-test=header-confirm]').click();
      await page.locator('[data-test=hop]').nth(3).waitFor();
      expect(mock.reasons.join() === 'is it really from them?', 'the reason is sent');
      expect((await page.locator('[data-test=hop][data-trusted=true]').count()) === 2, 'two of four are proof');
      const raw = await page.locator('[data-test=raw-header]').innerText();
      expect(raw.includes('\u2039U+202E\u203agnp.exe') && !raw.includes('\u202e'), `marks are shown, not obeyed: ${raw}`);
      await page.locator('[data-test=sighting]').getByText('Executed').waitFor();
      // taken out since: what was kept is read
      for (const copy of mock.data.messages.slice(0, 12)) copy.latest_location = 'quarantine';
      await page.locator('[data-test=read-header]').click();
      await page.locator('.dialog textarea').fill('once more');
      await page.locator('[data-test=header-confirm]').click();
      await page.locator('[data-test=header]').getByText('Read from the copy kept when it was taken out').waitFor();
    },
  },
  {
    name: 'any value leads on: from the search, by link, as another type, to a file; nothing is said to be nothing',
    setting: { language: 'en', theme: 'dark' },
    act: async ({ page, base }) => {
      await page.goto(base);
      const search = page.getByRole('searchbox', { name: /Search/ });
      await search.fill(SENDER);
      await page.keyboard.press('Enter');
      await page.locator('[data-test=way] [data-kind=arrived]').waitFor();
      await page.locator('[data-test=truncated]').waitFor();
      expect((await page.locator('[data-test=messages]').innerText()) === 'at least 1', 'more than is shown');
      await page.locator('[data-test=as-account]').click();
      await page.locator('.chip', { hasText: 'Account' }).waitFor();
      const waiting = page.waitForEvent('download');
      await page.locator('[data-test=export]').click();
      const file = await (await waiting).createReadStream();
      let text = '';
      for await (const part of file) text += String(part);
      expect((JSON.parse(text) as { value: string }).value === SENDER, 'the answer as a file');
      await search.fill('203.0.113[.]9');
      await page.keyboard.press('Enter');
      await page.getByText('Nobody has seen this value').waitFor();
      await page.locator('[data-test=pivot-value]').fill(SHA.script);
      await page.keyboard.press('Enter');
      await page.locator('[data-test=way] [data-kind=executed]').waitFor();
      const way = await page.locator('[data-test=way] .stop').evaluateAll((stops) => stops.map((stop) => stop.getAttribute('data-kind')));
      expect(way.join() === 'arrived,savedByMailClient,executed,blocked', `from the mailbox to the device: ${way.join()}`);
      await search.fill('quarterly report');
      await page.keyboard.press('Enter');
      await page.locator('[data-test=pivot]').click();
      await page.getByText('This cannot be followed').waitFor();
    },
  },
  {
    name: 'a demo is played, leads to its incident, and is taken away',
    setting: { language: 'ja', theme: 'light' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/settings/demos`);
      await page.locator('[data-test=demo]').first().waitFor();
      await page.locator('[data-test=demo-play]').click();
      await until('two demos', async () => (await page.locator('[data-test=demo]').count()) === 2);
      await page.locator('[data-test=demo]').first().getByRole('link', { name: 'INC-1042' }).waitFor();
      await page.locator('[data-test=demo-remove]').last().click();
      await page.locator('[data-test=demo-remove-confirm]').click();
      await until('one is gone', async () => (await page.locator('[data-test=demo]').count()) === 1);
      expect(mock.demos.length === 1, 'gone');
    },
  },
];
