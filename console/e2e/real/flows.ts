// What people do, from the first start on, on the real server. Each flow builds on those before.
import type { Page } from 'playwright-core';
import { expect, until, type Setting } from '../checks';
import { api, NAMES, PASSWORD, ROLES, virtualKey, type Person, type World } from './world';
import { dryRun, order, toOrder } from '../steps';
import { matrix } from './matrix';

interface Flow {
  name: string; setting: Setting;
  /** After the looks at the pages: nothing is left of what they show. */
  last?: boolean;
  act: (world: World, person: Person) => Promise<void | string>;
}

const en: Setting = { language: 'en', theme: 'light' };
const ja: Setting = { language: 'ja', theme: 'dark' };

interface Listed<T> { items: T[]; total: number }

/** Continues as somebody who has logged in before. */
async function as(world: World, name: string, path: string, setting = en): Promise<Person> {
  const person = await world.person(setting, name);
  await person.page.goto(world.base + path);
  return person;
}

export const flows: Flow[] = [
  {
    name: 'first run: one-time code, password, one-time passwords, first device',
    setting: ja,
    act: async (world, { page }) => {
      await page.goto(world.base);
      await page.locator('input[name=code]').fill('AAAA-BBBB-CCCC-DDDD');
      await page.locator('input[name=password]').fill(PASSWORD);
      await page.locator('input[name=again]').fill(PASSWORD);
      await page.locator('form button[type=submit]').click();
      await page.locator('form .error').first().waitFor();
      await page.locator('input[name=code]').fill(world.code);
      await page.locator('form button[type=submit]').click();
      await page.locator('[data-test=totp-start]').click();
      world.secret = (await page.locator('[data-test=totp-secret]').textContent()) ?? '';
      await page.locator('.dialog input').fill(await world.oneTime());
      await page.locator('[data-test=totp-finish]').click();
      await page.locator('.chip.ok').first().waitFor();
      await page.locator('[data-test=setup-done]').click();
      await page.locator('[data-test=enrol-create]').click();
      const command = (await page.locator('[data-test=enrol-line] pre').textContent()) ?? '';
      const token = /'([^']+)'/.exec(command)?.[1];
      expect(token, `a token in ${command}`);
      world.devices['pc-tanaka'] = await world.ask<string>({ do: 'enrol', token, name: 'pc-tanaka' });
      await page.locator('[data-test=enrol-line] .banner.ok').getByText('pc-tanaka').waitFor();
    },
  },
  {
    name: 'login: wrong password, one-time password, back to the wanted page; four more people after step-up',
    setting: en,
    act: async (world, { page, context }) => {
      await page.goto(`${world.base}/settings/users`);
      await page.locator('input[name=username]').fill('admin');
      await page.locator('input[name=password]').fill('wrong wrong wrong');
      await page.locator('form button[type=submit]').click();
      await page.locator('form .error').waitFor();
      await page.locator('input[name=password]').fill(PASSWORD);
      await page.locator('form button[type=submit]').click();
      await page.locator('input[name=totp]').fill(await world.oneTime());
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Add user' }).waitFor();
      let proved = false;
      for (const role of ROLES) {
        await page.getByRole('button', { name: 'Add user' }).first().click();
        await page.locator('.dialog').getByLabel('Login name').fill(NAMES[role]);
        await page.locator('.dialog').getByLabel('Password').fill(PASSWORD);
        await page.locator('.dialog').getByLabel('Role').selectOption(role);
        await page.locator('.dialog button[type=submit]').click();
        if (!proved) {
          await page.locator('[data-test=step-up-confirm]').waitFor();
          await page.locator('.dialog input[inputmode=numeric]').fill(await world.oneTime());
          await page.locator('[data-test=step-up-confirm]').click();
          proved = true;
        }
        await page.getByRole('cell', { name: NAMES[role], exact: true }).waitFor();
      }
      await world.keep(context, 'admin');
    },
  },
  {
    name: 'passkey: enrol it, log in with it, prove presence with it',
    setting: en,
    act: async (world) => {
      const person = await as(world, 'admin', '/settings/profile');
      const { page, context } = person;
      await virtualKey(person);
      await page.getByRole('button', { name: 'Add passkey' }).click();
      await page.getByLabel('Name of the passkey').fill('Security key');
      await page.locator('.dialog').getByRole('button', { name: 'Add passkey' }).click();
      // by itself, not when the page asks again after half a minute
      await page.getByRole('button', { name: 'Remove passkey Security key' }).waitFor({ timeout: 15_000 });
      await page.getByRole('button', { name: 'Account of admin' }).click();
      await page.getByRole('menuitem', { name: 'Log out' }).click();
      await page.getByLabel('Login name').fill('admin');
      await page.getByRole('button', { name: 'Use a passkey' }).click();
      await page.locator('.topbar').waitFor();
      // a new session: dangerous things want a new proof, here by passkey
      await page.goto(`${world.base}/settings/tokens`);
      await page.getByLabel('Name', { exact: true }).fill('script');
      await page.getByRole('button', { name: 'Create token' }).click();
      await page.locator('.dialog').getByRole('button', { name: 'Use a passkey' }).click();
      await page.getByText(/^hnm_/).waitFor();
      await world.keep(context, 'admin');
      expect(person.errors.length === 0, person.errors.join(' | '));
      await context.close();
    },
  },
  {
    name: 'live: an alert appears in the open queue',
    setting: en,
    act: async (world) => {
      const { page, context } = await as(world, 'admin', '/incidents');
      await page.locator('.live[data-state=live]').waitFor();
      for (const name of ['web-01', 'pc-sato', 'build-01']) await world.enrol(page, name);
      const row = page.locator('.grid-row').first();
      expect((await page.locator('.grid-row').count()) === 0, 'an empty queue');
      const began = performance.now();
      await world.ask({ do: 'play', scenario: 'two-attacks-apart', device: 'web-01' });
      await row.waitFor();
      const took = performance.now() - began;
      await world.ask({ do: 'play', scenario: 'two-attacks-apart', device: 'pc-sato' });
      await page.locator('.grid-row').nth(1).waitFor();
      await world.ask({ do: 'play', scenario: 'lone-low-noise', device: 'build-01' });
      await context.close();
      return `${Math.round(took)} ms from the device's spool to the row`;
    },
  },
  {
    name: 'triage: queue, incident, alert, process tree; a failed step with its reason, run again to success',
    setting: en,
    act: async (world) => {
      world.known.script = await world.ask<string>({ do: 'mail' });
      const { page, context, errors } = await as(world, 'admin', '/mail');
      // the mail is known before anybody opens it
      await page.locator('.grid-row').first().waitFor();
      await page.goto(`${world.base}/incidents`);
      // the recorded attack takes seconds and ends now: it must not begin before the mail
      const arrived = Date.now();
      await page.waitForFunction((until) => Date.now() > until, arrived + 4_000, { polling: 100 });
      await world.ask({ do: 'play', scenario: 'mail-attachment-linux', device: 'pc-tanaka' });
      const row = page.locator('.grid-row', { hasText: 'invoice.sh' });
      await row.getByRole('link').click();
      await page.locator('.marker').first().waitFor();
      await page.locator('.tree-row').first().waitFor();
      world.known.incident = new URL(page.url()).pathname.split('/').at(-1)!;
      await until('1 device and 12 mailboxes', async () => {
        const facts = await page.locator('.strip .value').allInnerTexts();
        return facts[0] === '1' && facts[2] === '12';
      });
      await page.locator('[data-test=tab-alerts]').click();
      await page.locator('[data-test=alert-row]', { hasText: 'pc-tanaka' }).first().getByRole('link').first().click();
      await page.locator('[data-test=investigation-line]').waitFor();
      await page.getByRole('treeitem', { name: /invoice\.sh/ }).first().waitFor();
      world.known.alert = new URL(page.url()).pathname.split('/').at(-1)!;
      await page.locator('[data-test=investigation-line]').getByRole('link').click();
      const failed = page.locator('[data-test=failed-step]');
      await failed.waitFor();
      world.known.investigation = new URL(page.url()).pathname.split('/').at(-1)!;
      const reason = await failed.innerText();
      expect(/mail server|connect|refused/i.test(reason), `the reason is told: ${reason}`);
      await world.ask({ do: 'mailboxes', open: true });
      await failed.getByRole('button', { name: 'Run again from here' }).click();
      await failed.waitFor({ state: 'detached' });
      const step = page.locator('.step', { hasText: 'Check which mailboxes hold it now' });
      await step.and(page.locator('.done, .failed')).waitFor();
      expect(await failed.count() === 0, `the step is run again: ${await step.innerText()}`);
      await page.locator('.banner [data-test=approve-all]').waitFor();
      expect(errors.length === 0, errors.join(' | '));
      await context.close();
    },
  },
  {
    name: 'pivot: file page with devices, messages and mailboxes; device page with its events',
    setting: en,
    act: async (world) => {
      const { page, context, errors } = await as(world, 'admin', '/');
      await page.getByRole('searchbox', { name: /Search/ }).fill(world.known.script!);
      await page.keyboard.press('Enter');
      await page.locator('[data-test=file-copy]').nth(11).waitFor();
      await until('twelve copies are in the mailboxes', async () => (await page.getByText('In the mailbox').count()) === 12);
      await page.getByText('invoice.zip › invoice.sh').first().waitFor();
      const wayOf = async () => (await page.locator('[data-test=way] .stop').evaluateAll((stops) => stops.map((stop) => stop.getAttribute('data-kind')!))).join();
      await page.locator('[data-test=way] [data-kind=executed]').waitFor();
      const way = await wayOf();
      expect(way.startsWith('arrived,savedByMailClient,executed'), `from the mailbox to the device: ${way}`);
      await until('1 device, 12 messages, 12 mailboxes', async () =>
        (await page.locator('.strip .value').allInnerTexts()).slice(0, 3).join() === '1,12,12');
      await page.getByRole('link', { name: 'Follow', exact: true }).click();
      await page.locator('[data-test=pivot-message]').waitFor();
      expect((await wayOf()) === way, 'the same way');
      expect((await page.locator('[data-test=mailboxes]').innerText()) === '12', 'twelve mailboxes');
      await page.getByRole('link', { name: 'pc-tanaka' }).first().click();
      await page.getByRole('heading', { level: 1, name: 'pc-tanaka' }).waitFor();
      await page.locator('.grid-row').first().waitFor();
      const all = await page.locator('.grid-row').count();
      await page.getByLabel('Kind').selectOption('DeviceNetworkEvents');
      await until('fewer events', async () => { const now = await page.locator('.grid-row').count(); return now > 0 && now < all; });
      await page.locator('.grid-row').first().click();
      await page.locator('.pane').getByText('RemoteIP', { exact: true }).waitFor();
      // a quieter device with more events than a page shows at once
      await page.goto(`${world.base}/devices/${world.devices['build-01']!}?range=7d`);
      await page.locator('.grid-row').first().waitFor();
      await page.locator('.grid-row').first().focus();
      await until('the next pages arrive', async () => {
        await page.keyboard.press('End');
        return /^127 /.test((await page.locator('.grid-foot').first().textContent()) ?? '');
      });
      expect(errors.length === 0, errors.join(' | '));
      await context.close();
    },
  },
  {
    name: 'status control: alert and incident, kept and audited',
    setting: en,
    act: async (world, person) => {
      await world.logIn(person, NAMES.responder);
      const { page } = person;
      await page.goto(`${world.base}/alerts/${world.known.alert!}`);
      await page.locator('.side').getByLabel('Status', { exact: true }).selectOption('inProgress');
      await page.getByText('Saved').first().waitFor();
      await page.locator('.side').getByLabel('Classification').selectOption('truePositive');
      await until('both are stored', async () => {
        const alert = await api<{ status: string; classification: string }>(page, 'GET', `/alerts/${world.known.alert!}`);
        return alert.status === 'inProgress' && alert.classification === 'truePositive';
      });
      await page.getByLabel('Your comment').fill('検体を確認中');
      await page.locator('[data-test=comment]').click();
      await page.locator('.activity', { hasText: '検体を確認中' }).waitFor();
      await page.goto(`${world.base}/incidents?pane=${world.known.incident!}`);
      await page.locator('.pane').getByLabel('Status').selectOption('inProgress');
      await until('stored', async () => (await api<{ status: string }>(page, 'GET', `/incidents/${world.known.incident!}`)).status === 'inProgress');
      // both directions of every order the queue offers
      for (const sort of ['severity', '-severity', 'last_activity', '-last_activity']) {
        await page.goto(`${world.base}/incidents?sort=${sort}`);
        await page.locator('.grid-row').nth(2).waitFor();
      }
    },
  },
  {
    name: 'approve: everything at once by the responder, receipts of every target, undo brings the mails back',
    setting: en,
    act: async (world) => {
      const { page, context, errors } = await as(world, NAMES.responder, `/incidents/${world.known.incident!}`);
      await page.locator('[data-test=waiting] [data-test=approve-all]').click();
      await page.locator('[data-test=approve-all-confirm]').click();
      await page.locator('[data-test=waiting]').waitFor({ state: 'detached' });
      await until('the mails are gone', async () => (await world.ask<number>({ do: 'count' })) === 0);
      await page.goto(`${world.base}/actions?tab=history`);
      const removal = page.locator('[data-test=action][data-kind=soft_delete_messages]').first();
      await removal.locator('summary').click();
      await until('twelve receipts', async () => (await removal.locator('tbody tr').count()) === 12);
      await removal.locator('[data-test=undo]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await until('the mails are back', async () => (await world.ask<number>({ do: 'count' })) === 12);
      expect(errors.length === 0, errors.join(' | '));
      await context.close();
    },
  },
  {
    name: 'mail: found in the explorer by sender, dry run, all twelve copies quarantined by filter, receipts, undo',
    setting: en,
    act: async (world) => {
      const { page, context, errors } = await as(world, NAMES.responder, `/mail?attachment_sha256=${world.known.script!}`);
      await page.locator('.grid-row').first().click();
      const sender = (await page.locator('.pane').getByText(/<[^>]+@[^>]+>/).first().textContent()) ?? '';
      const address = /<([^>]+)>/.exec(sender)?.[1];
      expect(address, `an address in ${sender}`);
      await page.locator('.pane [data-test=copy]').nth(11).waitFor();
      world.known.message = new URL(page.url()).searchParams.get('pane')!;
      await page.goto(`${world.base}/mail`);
      await page.locator('[data-test=mail-search]').fill(`sender:${address}`);
      await page.keyboard.press('Enter');
      await until('one message with its filter', async () => (await page.locator('[data-test=token]').count()) === 1 && (await page.locator('.grid-row').count()) === 1);
      await page.locator('[data-test=bar]').first().waitFor();
      world.known.explorer = new URL(page.url()).search;
      const choose = async (on: Page) => {
        await on.locator('.grid-row .checkbox').check();
        await on.locator('[data-test=act]').click();
        await dryRun(on);
      };
      await world.look('explorer', `/mail${world.known.explorer}&pane=${world.known.message}`, '.pane [data-test=copy]', (on) => on.locator('[data-test=bar]').first().waitFor());
      await world.look('dry-run', `/mail${world.known.explorer}`, '.grid-row', choose);
      await choose(page);
      await until('twelve copies are there now', async () => (await page.locator('[data-test=dry-present]').textContent()) === '12');
      expect((await page.locator('[data-test=dry-mailbox]').count()) === 12, 'twelve mailboxes');
      await order(page, 'Invoice attack', 'senderDomain');
      world.known.bulk = new URL(page.url()).pathname.split('/').at(-1)!;
      await until('twelve receipts, done', async () => /\b12\b/.test((await page.locator('[data-test=state-done]').textContent({ timeout: 30_000 })) ?? ''));
      expect((await world.ask<number>({ do: 'count' })) === 0, 'no copy is left in an inbox');
      const blocked = page.locator('[data-test=blocks] [data-kind=add_indicator]');
      await blocked.and(page.locator('[data-state=succeeded]')).waitFor();
      await blocked.locator('[data-test=undo]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await blocked.locator('[data-test=undo]').waitFor({ state: 'detached' });
      const proof = await page.locator('[data-test=progress] .grid-row').first().innerText();
      expect(/uid/i.test(proof), `a proof by UID in ${proof}`);
      world.known.action = (await page.locator('[data-test=bulk-action]').first().getAttribute('href'))!.split('/').at(-1)!;
      await world.look('receipts', `/mail/bulk/${world.known.bulk}`, '[data-test=progress] .grid-row');
      await page.goto(`${world.base}/mail/${world.known.message}`);
      await page.locator('[data-test=timeline]').getByText('Moved to Quarantine').first().waitFor();
      await page.locator('[data-test=after-event]').nth(11).waitFor();
      await world.look('message', `/mail/${world.known.message}`, '[data-test=sighting]');
      await world.look('file', `/files/${world.known.script!}`, '[data-test=way] [data-kind=executed]');
      await page.goto(`${world.base}/mail/bulk/${world.known.bulk}`);
      await page.locator('[data-test=undo]').click();
      await page.locator('[data-test=decision-confirm]').click();
      await page.locator('[data-test=state-undone]').waitFor();
      await until('the mails are back', async () => (await world.ask<number>({ do: 'count' })) === 12);
      world.known.undo = (await page.locator('[data-test=undone-by]').first().getAttribute('href'))!;
      await page.goto(world.base + world.known.undo);
      await until('twelve receipts of its own', async () => (await page.locator('[data-test=progress] .grid-row').count()) === 12);
      await world.look('undo', world.known.undo, '[data-test=progress] .grid-row');
      await world.look('undone', `/mail/bulk/${world.known.bulk}`, '[data-test=progress] .grid-row');
      // back in its mailbox, its header can be read there
      await page.goto(`${world.base}/mail/${world.known.message}`);
      await page.locator('[data-test=read-header]').click();
      await page.locator('.dialog textarea').fill('Invoice attack');
      await page.locator('[data-test=header-confirm]').click();
      const raw = await page.locator('[data-test=raw-header]').innerText();
      expect(/^subject:/im.test(raw) && /^received:/im.test(raw), `a header: ${raw.slice(0, 200)}`);
      await page.locator('[data-test=hop]').first().waitFor();
      expect(errors.length === 0, errors.join(' | '));
      await context.close();
    },
  },
  {
    name: 'a device that is away: isolation waits for it, and is told when it happens',
    setting: en,
    act: async (world) => {
      const { page, context, errors } = await as(world, NAMES.responder, `/devices/${world.devices['pc-sato']!}?tab=overview`);
      await page.locator('[data-test=isolate]').waitFor();
      await world.ask({ do: 'online', device: 'pc-sato', online: false });
      await page.locator('.banner.info').waitFor();
      await page.locator('[data-test=isolate]').click();
      await page.getByLabel('Reason').fill('web shell');
      await page.locator('[data-test=order-confirm]').click();
      await until('the action waits', async () => {
        const { items } = await api<Listed<{ state: string; spec: { kind: string } }>>(page, 'GET', '/actions?state=queued');
        return items.some((action) => action.spec.kind === 'isolate_device');
      });
      await world.ask({ do: 'online', device: 'pc-sato', online: true });
      await page.locator('.banner.high').waitFor();
      await page.locator('[data-test=release]').waitFor();
      expect(errors.length === 0, errors.join(' | '));
      await context.close();
    },
  },
  {
    name: 'two administrators: the slower one is shown both values and loses nothing',
    setting: en,
    act: async (world, second) => {
      await world.logIn(second, NAMES.administrator);
      const first = await as(world, 'admin', `/incidents/${world.known.incident!}`);
      await second.page.goto(`${world.base}/incidents/${world.known.incident!}`);
      const edit = async ({ page }: Person, title: string) => {
        await page.getByRole('button', { name: 'Edit', exact: true }).click();
        await page.getByRole('menuitem', { name: 'Change title' }).click();
        await page.locator('.dialog input').fill(title);
      };
      await edit(first, 'Invoice attack, first words');
      await edit(second, 'Invoice attack, second words');
      await first.page.locator('[data-test=title-save]').click();
      await second.page.getByRole('heading', { level: 1, name: 'Invoice attack, first words', includeHidden: true }).waitFor({ state: 'attached' });
      await second.page.locator('[data-test=title-save]').click();
      const dialog = second.page.locator('.dialog', { has: second.page.locator('[data-test=conflict-apply]') });
      await dialog.getByText('Invoice attack, first words').waitFor();
      await dialog.getByText('Invoice attack, second words').waitFor();
      await dialog.getByText('admin').waitFor();
      await second.page.locator('[data-test=conflict-drop]').click();
      expect((await second.page.locator('.dialog input').inputValue()) === 'Invoice attack, second words', 'what was typed is still there');
      await second.page.locator('[data-test=title-save]').click();
      await second.page.locator('[data-test=conflict-apply]').click();
      await first.page.getByRole('heading', { level: 1, name: 'Invoice attack, second words' }).waitFor();
      expect(first.errors.length === 0, first.errors.join(' | '));
      await first.context.close();
    },
  },
  {
    name: 'hard delete: nothing happens before a fresh proof; then the copies are gone for good, and no undo is offered',
    setting: en,
    last: true,
    act: async (world, { page, errors }) => {
      await page.goto(`${world.base}/login`);
      await page.locator('input[name=username]').fill('admin');
      await page.locator('input[name=password]').fill(PASSWORD);
      await page.locator('form button[type=submit]').click();
      await page.locator('input[name=totp]').fill(await world.oneTime());
      await page.locator('form button[type=submit]').click();
      await page.locator('.topbar').waitFor();
      // a row is a message with all its copies
      await page.goto(`${world.base}/mail?message=${world.known.message!}&range=all`);
      await page.locator('.grid-row .checkbox').check();
      await page.locator('[data-test=act]').click();
      await page.locator('[data-test=remedy-hardDelete]').check();
      await page.locator('[data-test=wizard-next]').click();
      await page.locator('[data-test=dry-mailbox]').first().waitFor();
      const { items } = await api<Listed<{ id: string }>>(page, 'GET', '/actions?limit=1');
      const warned = page.locator('[data-test=confirm-warnings]');
      if (await warned.count()) await warned.check();
      await toOrder(page);
      await page.locator('.dialog textarea').fill('the sample is kept');
      await page.locator('[data-test=wizard-next]').click();
      await page.locator('[data-test=step-up-confirm]').waitFor();
      const after = await api<Listed<{ id: string }>>(page, 'GET', '/actions?limit=1');
      expect(after.items[0]!.id === items[0]!.id && (await world.ask<number>({ do: 'count' })) === 12, 'nothing is done without a proof');
      await page.locator('.dialog input[inputmode=numeric]').fill(await world.oneTime());
      await page.locator('[data-test=step-up-confirm]').click();
      await page.locator('[data-test=state-done]').waitFor();
      await until('every copy is gone', async () => (await world.ask<number>({ do: 'count' })) === 0);
      expect((await page.locator('[data-test=undo]').count()) === 0, 'no undo is offered');
      expect(errors.length === 0, errors.join(' | '));
    },
  },
  { name: 'the four roles see and do what the table of routes says', setting: en, act: matrix },
  {
    name: 'sessions: one ends the others, the ended browser is led to the login',
    setting: en,
    act: async (world, person) => {
      await world.logIn(person, NAMES.viewer);
      const other = await world.person(en);
      await world.logIn(other, NAMES.viewer);
      await other.page.goto(`${world.base}/settings/sessions`);
      await other.page.getByRole('button', { name: 'End all others' }).click();
      await until('one is left', async () => (await other.page.locator('table.plain tbody tr').count()) === 1);
      await person.page.goto(`${world.base}/devices`);
      await person.page.locator('input[name=password]').waitFor();
      await other.context.close();
    },
  },
];

