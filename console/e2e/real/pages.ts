// Every page with what the flows left behind: console, layout, axe; in both languages and themes, on
// a desk and on a phone.
import { join } from 'node:path';
import { axe, sane, settled, sideBySide, type Setting } from '../checks';
import type { Page } from 'playwright-core';
import { dryRun } from '../steps';
import type { World } from './world';

interface Look { name: string; path: (world: World) => string; ready: string; act?: (page: Page) => Promise<void> }

const LOOKS: Look[] = [
  { name: 'home', path: () => '/', ready: '.need .figure' },
  { name: 'incidents', path: () => '/incidents?status=all', ready: '.grid-row' },
  { name: 'incidents-pane', path: ({ known }) => `/incidents?status=all&pane=${known.incident}`, ready: '.pane .next-step' },
  { name: 'incident', path: ({ known }) => `/incidents/${known.incident}`, ready: '.graph-node' },
  { name: 'incident-alerts', path: ({ known }) => `/incidents/${known.incident}?tab=alerts`, ready: '[data-test=alert-row]' },
  { name: 'incident-assets', path: ({ known }) => `/incidents/${known.incident}?tab=assets`, ready: '[data-test=mailbox-copy]' },
  { name: 'incident-investigations', path: ({ known }) => `/incidents/${known.incident}?tab=investigations`, ready: 'table.plain tbody tr' },
  { name: 'incident-evidence', path: ({ known }) => `/incidents/${known.incident}?tab=evidence`, ready: '[data-test=action]' },
  { name: 'incident-activity', path: ({ known }) => `/incidents/${known.incident}?tab=activity`, ready: '.activity' },
  { name: 'alerts', path: () => '/alerts?status=all', ready: '.grid-row' },
  { name: 'alert', path: ({ known }) => `/alerts/${known.alert}`, ready: '.tree-row' },
  { name: 'devices', path: () => '/devices', ready: '.grid-row' },
  { name: 'device', path: ({ devices }) => `/devices/${devices['pc-tanaka']}`, ready: '.grid-row' },
  { name: 'device-overview', path: ({ devices }) => `/devices/${devices['pc-sato']}?tab=overview`, ready: '.facts' },
  { name: 'file', path: ({ known }) => `/files/${known.script}`, ready: '[data-test=file-copy]' },
  { name: 'pivot', path: ({ known }) => `/pivot?value=${known.script}`, ready: '[data-test=way] .stop' },
  { name: 'pivot-unknown', path: () => '/pivot?value=203.0.113.254', ready: '.state' },
  { name: 'mail', path: () => '/mail', ready: '[data-test=bar]' },
  { name: 'mail-pane', path: ({ known }) => `/mail${known.explorer}&pane=${known.message}&pivot=location`, ready: '.pane [data-test=copy]' },
  { name: 'mail-grouped', path: () => '/mail?group=campaign', ready: '[data-test=group]' },
  { name: 'message', path: ({ known }) => `/mail/${known.message}`, ready: '[data-test=sighting]' },
  {
    name: 'dry-run', path: ({ known }) => `/mail${known.explorer}`, ready: '.grid-row',
    act: async (page) => { await page.locator('.grid-row .checkbox').check(); await page.locator('[data-test=act]').click(); await dryRun(page); },
  },
  { name: 'progress', path: ({ known }) => `/mail/bulk/${known.bulk}`, ready: '[data-test=progress] .grid-row' },
  { name: 'action-page', path: ({ known }) => `/actions/${known.action}`, ready: '[data-test=progress] .grid-row' },
  { name: 'investigations', path: () => '/investigations', ready: '.grid-row' },
  { name: 'investigation', path: ({ known }) => `/investigations/${known.investigation}`, ready: '.graph-node' },
  { name: 'investigation-log', path: ({ known }) => `/investigations/${known.investigation}?tab=log`, ready: 'table.log' },
  { name: 'actions', path: () => '/actions', ready: '.tabs' },
  { name: 'actions-history', path: () => '/actions?tab=history', ready: '[data-test=action]' },
  { name: 'indicators', path: () => '/indicators', ready: '.grid-row' },
  { name: 'audit', path: () => '/audit', ready: '.grid-row' },
  { name: 'search', path: () => '/search?q=invoice', ready: '.need' },
  { name: 'settings-profile', path: () => '/settings/profile', ready: '[data-test=totp-start]' },
  { name: 'settings-sessions', path: () => '/settings/sessions', ready: 'table.plain tbody tr' },
  { name: 'settings-automation', path: () => '/settings/automation', ready: '.radio-card' },
  { name: 'settings-enrolment', path: () => '/settings/enrolment', ready: 'table.plain tbody tr' },
  { name: 'settings-users', path: () => '/settings/users', ready: 'table.plain tbody tr' },
  { name: 'settings-demos', path: () => '/settings/demos', ready: '.state, [data-test=demo]' },
  { name: 'settings-tokens', path: () => '/settings/tokens', ready: 'table.plain tbody tr' },
];

const SETTINGS: Setting[] = (['en', 'ja'] as const).flatMap((language) => (['light', 'dark'] as const).map((theme) => ({ language, theme })));
const WIDTHS = [1440, 390];

type Check = (name: string, act: () => Promise<void | string>) => Promise<void>;

/** Each page in one language, theme and width, so that all of them come up; with `all` in every one. */
export async function lookAtPages(world: World, check: Check, { shots, all }: { shots: string; all: boolean }) {
  const work = SETTINGS.flatMap((setting, at) => WIDTHS.map((width, wide) => async () => {
    const person = await world.person(setting, 'admin', width, width > 500 ? 900 : 844);
    const { page, errors } = person;
    for (const [index, look] of LOOKS.entries()) {
      if (!all && index % (SETTINGS.length * WIDTHS.length) !== at * WIDTHS.length + wide) continue;
      const name = `${look.name} ${setting.language} ${setting.theme} ${width}`;
      await check(name, async () => {
        errors.length = 0;
        await page.goto(world.base + look.path(world));
        await settled(page, look.ready);
        if (look.act) await look.act(page);
        if (shots) await page.screenshot({ path: join(shots, `${name.replaceAll(' ', '-')}.png`), fullPage: width < 500 });
        await sane(page);
        await axe(page);
        if (errors.length > 0) throw new Error(`console: ${errors.join(' | ')}`);
      });
    }
    await person.context.close();
  }));
  await sideBySide(work);
}
