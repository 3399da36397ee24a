// What people do, from end to end, with the content security policy in force.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { approval, devices, id, INCIDENT, SHA } from './data';
import { dryRun, order } from './steps';
import { mailFlows } from './mail-flows';
import { PASSWORD, SECRET, TOTP } from './mock';
import { expect, until, type Flow, type Setting } from './checks';


const en: Setting = { language: 'en', theme: 'light' };
const ja: Setting = { language: 'ja', theme: 'dark' };

export const flows: Flow[] = [
  ...mailFlows,
  {
    name: 'login with one-time password, back to the wanted page',
    setting: en,
    mode: { loggedOut: true },
    act: async ({ page, base }) => {
      await page.goto(`${base}/incidents/1042`);
      await page.getByLabel('Login name').fill('admin');
      await page.getByLabel('Password').fill('wrong');
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText('Name or password is wrong.').waitFor();
      await page.getByLabel('Password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByLabel('One-time password').fill(TOTP);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { level: 1, name: /invoice\.sh/ }).waitFor();
      expect(page.url().endsWith('/incidents/1042'), 'the page that was asked for');
    },
  },
  {
    name: 'login refuses to lead to another site',
    setting: en,
    mode: { loggedOut: true },
    act: async ({ page, base }) => {
      await page.goto(`${base}/login?next=${encodeURIComponent('//evil.example/x')}`);
      await page.getByLabel('Login name').fill('admin');
      await page.getByLabel('Password').fill(PASSWORD);
      await page.keyboard.press('Enter');
      await page.getByLabel('One-time password').fill(TOTP);
      await page.keyboard.press('Enter');
      await page.locator('.need .figure').first().waitFor();
      expect(new URL(page.url()).origin === new URL(base).origin, 'the same site');
    },
  },
  {
    name: 'first run: code, password, one-time passwords, first device',
    setting: ja,
    mode: { setup: true },
    act: async ({ page, base }) => {
      await page.goto(base);
      await page.locator('input[name=code]').fill('NOPE');
      await page.locator('input[name=password]').fill('long enough password');
      await page.locator('input[name=again]').fill('long enough password');
      await page.getByRole('button', { name: '管理者を作成' }).click();
      await page.getByText('ワンタイム コードが違います。').waitFor();
      await page.locator('input[name=code]').fill('HINOMI-1234');
      await page.getByRole('button', { name: '管理者を作成' }).click();
      await page.locator('[data-test=totp-start]').click();
      await page.locator('[data-test=totp-secret]').waitFor();
      await page.getByLabel('アプリに表示されたコード').fill(TOTP);
      await page.locator('[data-test=totp-finish]').click();
      await page.locator('.chip.ok').first().waitFor();
      await page.locator('[data-test=setup-done]').click();
      await page.locator('[data-test=enrol-create]').click();
      await page.getByText('hinomi-sensor enrol').waitFor();
    },
  },
  {
    name: 'passkey: add one, log out, log in with it',
    setting: en,
    act: async ({ page, base, context }) => {
      const devtools = await context.newCDPSession(page);
      await devtools.send('WebAuthn.enable');
      await devtools.send('WebAuthn.addVirtualAuthenticator', {
        options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
      });
      await page.goto(`${base}/settings/profile`);
      await page.getByRole('button', { name: 'Add passkey' }).click();
      await page.getByLabel('Name of the passkey').fill('Security key');
      await page.locator('.dialog').getByRole('button', { name: 'Add passkey' }).click();
      await page.getByText('Security key').waitFor();
      await page.getByRole('button', { name: 'Account of admin' }).click();
      await page.getByRole('menuitem', { name: 'Log out' }).click();
      await page.getByLabel('Login name').fill('admin');
      await page.getByRole('button', { name: 'Use a passkey' }).click();
      await page.locator('.need .figure').first().waitFor();
    },
  },
  {
    name: 'triage with the keyboard only',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(base);
      await page.locator('.need').first().waitFor();
      await page.keyboard.press('g');
      await page.keyboard.press('i');
      await page.locator('.grid-row').first().waitFor();
      await page.keyboard.press('j');
      await page.keyboard.press('j');
      await page.keyboard.press('k');
      await page.keyboard.press('x');
      await page.keyboard.press('j');
      await page.keyboard.press('x');
      await page.getByText('2 selected').waitFor();
      await page.keyboard.press('e');
      await until('two owners', () => mock.data.incidents.filter((incident) => incident.assigned_to === 'admin').length === 2);
      await page.keyboard.press('k');
      await page.keyboard.press('Enter');
      await page.getByRole('tab', { name: 'Attack story' }).waitFor();
      expect(page.url().includes('/incidents/1042'), 'the first incident');
      await page.getByRole('treeitem').first().waitFor();
      await page.locator('[role=treeitem][tabindex="0"]').focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowLeft');
      const folded = await page.locator('[role=treeitem]').count();
      await page.keyboard.press('ArrowRight');
      await until('the branch is open again', async () => (await page.locator('[role=treeitem]').count()) > folded);
      await page.keyboard.type('bash');
      await until('type-ahead', async () => (await page.locator('[role=treeitem]:focus .name').textContent()) === 'bash');
      await page.keyboard.press('Enter');
      await page.locator('.side .copy').waitFor();
    },
  },
  {
    name: 'bulk resolve with classification',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents`);
      await page.locator('.grid-row .checkbox').nth(0).click();
      await page.locator('.grid-row .checkbox').nth(1).click();
      await page.getByRole('button', { name: /^Resolve…/ }).click();
      await page.getByLabel('Classification').selectOption('falsePositive');
      await page.locator('[data-test=resolve-confirm]').click();
      await page.getByText('2 incidents changed').waitFor();
      expect(mock.data.incidents[0]!.status === 'resolved' && mock.data.incidents[0]!.determination === 'notMalicious', 'resolved as not malicious');
    },
  },
  {
    name: 'approve all, read receipts, undo',
    setting: ja,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents/1042`);
      await page.locator('[data-test=waiting] [data-test=approve-all]').click();
      await page.locator('[data-test=approve-all-confirm]').click();
      await page.locator('[data-test=waiting]').waitFor({ state: 'detached' });
      expect(mock.data.messages.slice(0, 12).every((copy) => copy.latest_location === 'quarantine'), '12 mails in quarantine');
      await page.locator('[data-test=tab-evidence]').click();
      const mail = page.locator('[data-test=action][data-kind=soft_delete_messages]');
      await mail.locator('summary').click();
      expect((await mail.locator('tbody tr').count()) === 12, '12 receipts');
      await mail.locator('[data-test=undo]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await page.locator('[data-test=action][data-kind=soft_delete_messages][data-state=undone]').waitFor();
      expect(mock.data.messages.slice(0, 12).every((copy) => copy.latest_location === 'inbox'), '12 mails are back');
      await page.locator('[data-test=tab-assets]').click();
      await until('assets show the inbox', async () => (await page.locator('[data-test=mailbox-copy][data-location=inbox]').count()) === 12);
    },
  },
  {
    name: 'decline in the action centre',
    setting: en,
    act: async ({ page, mock, base }) => {
      const waiting = mock.data.actions.filter((action) => action.state === 'pendingApproval').length;
      await page.goto(`${base}/actions`);
      await page.locator('[data-test=decline]').first().click();
      await page.getByLabel('Comment (optional)').fill('not needed');
      await page.locator('[data-test=decision-confirm]').click();
      await until('one less', async () => (await page.locator('[data-test=action]').count()) === waiting - 1);
      await page.getByRole('tab', { name: 'History' }).click();
      await page.locator('[data-test=action][data-state=declined]').waitFor();
    },
  },
  {
    name: 'isolate a device with step-up',
    setting: en,
    mode: { stepUpFor: 'isolate_device' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/devices/${devices[0]!.id}`);
      await page.locator('[data-test=isolate]').click();
      await page.getByLabel('Reason').fill('attack in progress');
      await page.locator('[data-test=order-confirm]').click();
      await page.getByLabel('One-time password').fill(TOTP);
      await page.locator('[data-test=step-up-confirm]').click();
      await page.locator('[data-test=release]').waitFor();
      expect(mock.data.devices[0]!.isolation === 'isolated', 'isolated');
    },
  },
  {
    name: 'file: pivot, block everywhere, remove from mailboxes',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(base);
      await page.getByRole('searchbox', { name: /Search/ }).fill(SHA.script);
      await page.keyboard.press('Enter');
      await page.getByText('invoice.zip › invoice.sh').first().waitFor();
      await page.getByText('In the mailbox').first().waitFor();
      await page.locator('[data-test=block]').click();
      await page.getByLabel('Reason').fill('malicious');
      await page.locator('[data-test=order-confirm]').click();
      await page.getByRole('button', { name: 'Unblock' }).waitFor();
      for (const kind of ['arrived', 'savedByMailClient', 'executed', 'blocked']) await page.locator(`[data-test=way] [data-kind=${kind}]`).waitFor();
      await page.locator('[data-test=remove]').click();
      await page.locator('[data-test=remedy-softDelete]').check();
      await dryRun(page);
      await order(page, 'malicious');
      await until('all copies are gone', () => mock.data.messages.slice(0, 12).every((copy) => copy.latest_location === 'quarantine'));
      await page.goBack();
      await page.locator('[data-test=file-copy] .chip.ok').first().waitFor();
      await page.locator('[data-test=way] [data-kind=removed]').waitFor();
    },
  },
  {
    name: 'failed investigation: reason, run again from the step',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/investigations/${id(4, 16)}`);
      await page.getByText('timed out after 30 s').first().waitFor();
      await page.getByRole('button', { name: 'Run again from here' }).click();
      await page.locator('[data-test=failed-step]').waitFor({ state: 'detached' });
      expect(mock.data.investigations[1]!.state === 'running', 'running again');
    },
  },
  {
    name: 'live: another person changes, the page follows; the stream is lost and comes back',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents/1042`);
      await page.locator('.live[data-state=live]').waitFor();
      mock.data.incidents[0]!.assigned_to = 'sato';
      mock.emit('incident.updated', mock.data.incidents[0]!.id);
      await page.clock.runFor(1_000);
      await page.getByText('Owner: sato').waitFor();
      mock.dropStreams();
      await page.clock.runFor(3_000);
      await until('reconnected', async () => {
        await page.clock.runFor(1_000);
        return (await page.locator('.live').getAttribute('data-state')) === 'live';
      });
    },
  },
  {
    name: 'two people: the slower one is told and loses nothing',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents/1042`);
      await page.locator('[data-test=resolve]').waitFor();
      Object.assign(mock.data.incidents[0]!, { version: 90, assigned_to: 'sato' });
      await page.locator('[data-test=assign-me]').click();
      await page.locator('[data-test=conflict-apply]').waitFor();
      await page.locator('[data-test=conflict-drop]').click();
      await page.getByText('Your change was not made').waitFor();
      await page.getByText('Owner: sato').waitFor();
      Object.assign(mock.data.incidents[0]!, { version: 95, assigned_to: 'kato' });
      await page.locator('[data-test=assign-me]').click();
      await page.locator('[data-test=conflict-apply]').click();
      await page.getByText('Owner: admin').waitFor();
    },
  },
  {
    name: 'a viewer sees why buttons do nothing',
    setting: en,
    mode: { role: 'viewer' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents/1042`);
      const button = page.locator('[data-test=resolve]');
      await button.waitFor();
      expect((await button.getAttribute('aria-disabled')) === 'true', 'disabled');
      expect(((await button.getAttribute('title')) ?? '').includes('Responder'), 'the role that is needed');
      await button.click({ force: true });
      expect(!mock.calls.some((call) => call.startsWith('PATCH')), 'nothing was sent');
    },
  },
  {
    name: 'a part that fails leaves the rest usable, and can be tried again',
    setting: en,
    mode: { broken: /timeline$/ },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents/1042`);
      await page.getByRole('alert').getByText('req-7f3a9c').waitFor();
      await page.locator('.tree-row').first().waitFor();
      mock.mode = {};
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.locator('.marker').first().waitFor();
    },
  },
  {
    name: 'language and theme switch without a reload',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/actions`);
      await page.locator('[data-test=language]').click();
      await page.getByRole('menuitem', { name: '日本語' }).click();
      await page.getByRole('heading', { level: 1, name: 'アクション センター' }).waitFor();
      expect((await page.locator('html').getAttribute('lang')) === 'ja', 'lang on html');
      await until('the account follows', () => mock.users[0]!.language === 'ja');
      await page.getByRole('button', { name: 'テーマ' }).click();
      await page.getByRole('menuitem', { name: 'ダーク' }).click();
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      expect(background === 'rgb(14, 19, 26)', `the dark background, got ${background}`);
    },
  },
  {
    name: 'untrusted text stays text',
    setting: en,
    act: async ({ page, mock, base }) => {
      const bad = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202egpj.sh';
      mock.data.incidents[0]!.title = { en: bad, ja: bad };
      mock.data.messages[0]!.subject = bad;
      await page.goto(`${base}/incidents/1042`);
      await page.getByRole('heading', { level: 1 }).getByText('<img src=x').waitFor();
      expect((await page.getByRole('heading', { level: 1 }).textContent())?.includes('‹U+202E›'), 'the direction mark is shown, not obeyed');
      await page.goto(`${base}/mail/${mock.data.messages[0]!.message_id}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      expect((await page.evaluate(() => (window as unknown as { hacked?: number }).hacked)) === undefined, 'no script ran');
    },
  },
  {
    name: 'large tree and long list stay light',
    setting: en,
    act: async ({ page, base }) => {
      await page.goto(`${base}/alerts/${id(3, 6)}`);
      await page.locator('.tree-row').first().waitFor();
      await page.locator('[role=treeitem][tabindex="0"]').focus();
      await page.keyboard.press('*');
      await page.keyboard.press('End');
      const elements = await page.evaluate(() => document.querySelectorAll('*').length);
      expect(elements < 1_500, `fewer than 1,500 elements, got ${elements}`);
      await page.goto(`${base}/incidents?status=all`);
      await page.locator('.grid-row').first().waitFor();
      await page.keyboard.press('j');
      await page.keyboard.press('End');
      await until('the next pages arrive', async () => {
        await page.keyboard.press('End');
        return ((await page.locator('.grid-foot').textContent()) ?? '').startsWith('241 of');
      });
    },
  },
  {
    name: 'phone: approve at night',
    setting: ja,
    width: 360,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/incidents/1042`);
      await page.locator('[data-test=waiting] [data-test=approve-all]').click();
      await page.locator('[data-test=approve-all-confirm]').click();
      await until('approved', () => mock.data.actions.every((action) => action.state !== 'pendingApproval' || action.incident_id !== INCIDENT));
    },
  },
  {
    name: 'tuning: drafted from an alert, tried before it is saved, edited by two people',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/alerts/${id(3, 1)}`);
      await page.locator('[data-test=tune]').click();
      const save = page.locator('[data-test=tuning-save]');
      await save.waitFor();
      expect((await save.getAttribute('aria-disabled')) === 'true', 'untried rules are not saved');
      await page.locator('[data-test=tuning-preview]').click();
      await page.getByText('would have hidden 14 of 412 alerts').waitFor();
      await page.locator('[data-test=tuning-warning]').first().waitFor();
      await page.locator('[data-test=tuning-condition] textarea').nth(1).fill('a\nb');
      expect((await save.getAttribute('aria-disabled')) === 'true', 'another condition is tried again');
      await page.locator('[data-test=tuning-preview]').click();
      await page.locator('[data-test=tuning-seen]').waitFor();
      await save.click();
      await until('saved', () => mock.tunings[0]?.conditions[1]?.values.join() === 'a,b');
      await page.goto(`${base}/tuning`);
      await page.locator('[data-test=tuning-edit]').first().click();
      await page.locator('.dialog').getByLabel('Name').fill('Mine');
      Object.assign(mock.tunings[0]!, { title: 'Theirs', version: 2 });
      await page.locator('[data-test=tuning-preview]').click();
      await page.locator('[data-test=tuning-seen]').waitFor();
      await save.click();
      await page.getByText('Theirs').waitFor();
      await page.locator('[data-test=conflict-apply]').click();
      await until('applied', () => mock.tunings[0]?.title === 'Mine');
    },
  },
  {
    name: 'regroup: merge by hand, take apart again, move an alert',
    setting: en,
    act: async ({ page, mock, base }) => {
      const menu = async (item: RegExp) => {
        await page.getByRole('button', { name: 'Edit' }).first().click();
        await page.getByRole('menuitem', { name: item }).click();
      };
      await page.goto(`${base}/incidents/1042`);
      await menu(/Merge with/);
      await page.locator('.dialog input.input').fill('INC-1041');
      await page.locator('[data-test=merge-confirm]').click();
      await until('merged', () => mock.data.incidents.find((one) => one.number === 1041)?.status === 'redirected');
      await page.locator('.dialog').waitFor({ state: 'detached' });
      await menu(/Take out INC-1041/);
      await page.locator('[data-test=unmerge-confirm]').click();
      await until('apart', () => page.url().endsWith('/incidents/1041'));
      await page.goto(`${base}/incidents/1042?tab=alerts`);
      await page.locator('[data-test=alert-row] .checkbox').first().click();
      await page.locator('[data-test=move-alerts]').click();
      await page.locator('[data-test=move-confirm]').click();
      await until('moved', () => mock.calls.includes('POST /alerts/move'));
    },
  },
  {
    name: 'the script of the story plays its steps and fails when something is wrong',
    setting: en,
    mode: { loggedOut: true },
    act: async ({ mock, base }) => {
      const shots = mkdtempSync(join(tmpdir(), 'hinomi-story-'));
      const play = (steps: object[]) =>
        new Promise<{ code: number; lines: { step: string; ok: boolean; note?: string }[] }>((done) => {
          const settings = { url: base, user: 'admin', password: PASSWORD, totp_secret: SECRET, screenshots: shots, steps };
          const script = fileURLToPath(new URL('./story.mjs', import.meta.url));
          execFile(process.execPath, [script, JSON.stringify(settings)], (error, out) => {
            done({ code: error ? Number(error.code ?? 1) : 0, lines: out.trim().split('\n').map((line) => JSON.parse(line) as { step: string; ok: boolean }) });
          });
        });
      try {
        const good = await play([
          { do: 'language', language: 'ja' }, { do: 'incident', number: 1042 }, { do: 'approve_all' }, { do: 'screenshot', name: 'approved' }, { do: 'alert', id: id(3, 1) },
        ]);
        expect(good.code === 0, `exit 0, got ${JSON.stringify(good)}`);
        expect(good.lines.map((line) => line.step).join() === 'sign_in,language,incident,approve_all,screenshot,alert', 'one line per step');
        expect(mock.data.messages.slice(0, 12).every((copy) => copy.latest_location === 'quarantine'), 'approved by clicking');
        const bad = await play([{ do: 'nonsense' }, { do: 'screenshot', name: 'never' }]);
        expect(bad.code === 1 && bad.lines.at(-1)?.ok === false && bad.lines.length === 2, 'a failed step ends the run');
      } finally {
        rmSync(shots, { recursive: true, force: true });
      }
    },
  },
  {
    name: 'lists: a view is kept and found again, columns live in the address, what matches is exported, several alerts are changed at once',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/alerts?status=all`);
      await page.locator('.grid-row').first().waitFor();
      await page.locator('[data-test=columns]').click();
      await page.locator('[data-test=column-technique]').uncheck();
      await page.keyboard.press('Escape');
      await until('the column is gone', async () => (await page.getByRole('columnheader', { name: 'Technique' }).count()) === 0);
      expect(page.url().includes('hide=technique'), 'the address carries it');
      await page.locator('[data-test=views]').click();
      await page.locator('[data-test=view-save]').click();
      await page.locator('[data-test=view-name]').fill('Night duty');
      await page.locator('[data-test=view-confirm]').click();
      await page.goto(`${base}/alerts`);
      await page.getByRole('columnheader', { name: 'Technique' }).waitFor();
      await page.locator('[data-test=views]').click();
      await page.locator('[data-test=view]', { hasText: 'Night duty' }).click();
      await until('as it was kept', () => page.url().includes('hide=technique') && page.url().includes('status=all'));
      const wait = page.waitForEvent('download');
      await page.locator('[data-test=export]').click();
      await page.locator('[data-test=export-csv]').click();
      const file = await (await wait).createReadStream();
      let text = '';
      for await (const part of file) text += String(part);
      expect(text.split('\r\n').length === mock.data.alerts.length + 2, `a line per alert: ${text.split('\r\n').length}`);
      expect(text.startsWith('\ufeff') && text.includes('severity'), 'a head, for spreadsheets');
      await page.locator('.grid-row').first().focus();
      await page.keyboard.press('x');
      await page.keyboard.press('j');
      await page.keyboard.press('x');
      await page.getByText('2 selected').waitFor();
      await page.locator('[data-test=select-all-matching]').click();
      await page.getByText(`${mock.data.alerts.length} selected`).waitFor();
      await page.locator('[data-test=bulk-mine]').click();
      await until('all are mine', () => mock.data.alerts.every((alert) => alert.assigned_to === 'admin'));
    },
  },
  {
    name: 'several devices are isolated by one order with step-up, indicators removed by one',
    setting: en,
    mode: { stepUpFor: 'isolate_device' },
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/devices`);
      const count = mock.data.devices.length;
      await page.locator('.grid-head .checkbox').check();
      await page.getByText(`${count} selected`).waitFor();
      await page.locator('[data-test=bulk-isolate]').click();
      await page.locator('.dialog textarea').fill('INC-1042');
      await page.locator('[data-test=bulk-order-confirm]').click();
      await page.locator('.dialog input[inputmode=numeric]').fill(TOTP);
      await page.locator('[data-test=step-up-confirm]').click();
      await until('all are isolated', () => mock.data.devices.every((device) => device.isolation === 'isolated'));
      await page.locator('.bulk').waitFor({ state: 'detached' });
      await page.goto(`${base}/indicators`);
      await page.locator('.grid-row').first().waitFor();
      await page.locator('.grid-head .checkbox').check();
      await page.locator('[data-test=bulk-remove]').click();
      await page.locator('.dialog textarea').fill('no longer needed');
      await page.locator('[data-test=bulk-order-confirm]').click();
      await page.locator('.bulk').waitFor({ state: 'detached' });
      expect(mock.data.actions.filter((action) => action.spec.kind === 'remove_indicator').length === mock.data.indicators.length, 'an action for each');
    },
  },
  {
    name: 'automation: what would have happened, then the policy is changed and kept',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/settings/automation`);
      await page.locator('[data-test=preview-ask]').click();
      await page.locator('[data-test=preview-count]').first().waitFor();
      await page.locator('[data-test=preview] summary').click();
      await page.getByText('Ran without a person: level full').first().waitFor();
      await page.locator('[data-test=two-quarantine_file]').check();
      await page.getByLabel('Mailboxes, one a line').fill('ceo@hinomi.example\ncfo@hinomi.example');
      await page.getByRole('region', { name: 'Mail', exact: true }).locator('[data-test=add-hours]').click();
      await page.locator('[data-test=policy-save]').click();
      await until('the policy is changed', () => mock.policy.version === 4);
      expect(mock.policy.two_persons?.includes('quarantine_file') === true && mock.policy.guards?.mailboxes?.length === 2, 'two persons and mailboxes');
      expect(mock.policy.mail?.hours?.[0]?.from === '19:00' && mock.policy.groups?.length === 1, 'hours of mail; the groups stay');
      await page.locator('[data-test=policy-hours]').nth(1).waitFor();
    },
  },
  {
    name: 'action centre: the second person approves, what expired is ordered again, several are declined with a result each',
    setting: en,
    act: async ({ page, mock, base }) => {
      await page.goto(`${base}/actions/${id(6, 7)}`);
      await page.getByText('1 of 2 approvals · by sato').waitFor();
      await page.locator('[data-test=approve]').click();
      await until('it runs', () => mock.data.actions.find((action) => action.id === id(6, 7))?.state !== 'pendingApproval');
      await page.getByText('2 of 2 approvals · by sato, admin').waitFor();
      await page.goto(`${base}/actions/${id(6, 8)}`);
      await page.getByText('Expired: it was not approved in time').waitFor();
      await page.locator('[data-test=again]').click();
      await page.locator('[data-test=ordered-again]').waitFor();
      const waiting = mock.data.actions.filter((action) => action.state === 'pendingApproval');
      waiting[0]!.approval = approval({ needed: 2, given: [{ by: 'admin', at: waiting[0]!.created_at, comment: null }] });
      await page.goto(`${base}/actions`);
      for (let at = 0; at < 2; at += 1) await page.locator('[data-test=action] .checkbox').nth(at).check();
      await page.locator('.bulk').getByRole('button', { name: 'Approve' }).click();
      await page.locator('[data-test=decision-results]').getByText('you did already').waitFor();
      const left = mock.data.actions.filter((action) => action.state === 'pendingApproval').length;
      expect(left === waiting.length - 1, 'one was approved');
      for (let at = 0; at < 2; at += 1) await page.locator('[data-test=action] .checkbox').nth(at).check();
      await page.locator('.bulk').getByRole('button', { name: 'Decline' }).click();
      await until('declined', () => mock.data.actions.filter((action) => action.state === 'declined').length === 2);
      expect(mock.calls.some((call) => call.includes('/actions/decline')), 'in one request');
    },
  },
];
