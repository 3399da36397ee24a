// Every page and state that is looked at in both languages and both themes.
import type { Page } from 'playwright-core';
import { devices, id, messages, SENDER, SHA } from './data';
import type { Mode } from './mock';
import { chart, dryRun, order, pickAll } from './steps';

export interface PageTest {
  name: string;
  path: string;
  /** Something that is there only when the data is. */
  ready: string;
  mode?: Mode;
  width?: number;
  height?: number;
  act?: (page: Page) => Promise<void>;
}

const alert = id(3, 1);
const tab = (name: string) => `[data-test="tab-${name}"][data-state="active"]`;

async function readHeader(page: Page) {
  await page.locator('[data-test=read-header]').click();
  await page.locator('.dialog textarea').fill('INC-1042');
  await page.locator('[data-test=header-confirm]').click();
  await page.locator('[data-test=raw-header]').waitFor();
  await page.locator('[data-test=header]').scrollIntoViewIfNeeded();
}

async function tune(page: Page) {
  await page.locator('[data-test=tune]').click();
  await page.locator('[data-test=tuning-preview]').click();
  await page.locator('[data-test=tuning-warning]').first().waitFor();
}

const STORY = `/mail?subject=${encodeURIComponent(messages[0]!.subject)}`;

export const pages: PageTest[] = [
  { name: 'login', path: '/login', ready: 'input[name=password]', mode: { loggedOut: true } },
  { name: 'setup', path: '/setup', ready: 'input[name=code]', mode: { setup: true } },
  { name: 'home', path: '/', ready: '.need .figure' },
  { name: 'home-empty', path: '/', ready: '.next-step', mode: { empty: true } },
  { name: 'incidents', path: '/incidents?status=all', ready: '.grid-row' },
  { name: 'incidents-pane', path: '/incidents?pane=1042', ready: '.pane .next-step', act: async (page) => { await page.locator('.grid-row .checkbox').nth(1).click(); } },
  { name: 'incidents-empty', path: '/incidents', ready: '.state', mode: { empty: true } },
  { name: 'incidents-filtered', path: '/incidents?text=nothing-like-this', ready: '.state' },
  { name: 'incidents-error', path: '/incidents', ready: '.state code', mode: { broken: /^\/incidents$/ } },
  { name: 'incident', path: '/incidents/1042', ready: '.tree-row', act: async (page) => { await page.locator('.marker').first().waitFor(); await page.locator('.graph-node').first().waitFor(); } },
  { name: 'incident-alerts', path: '/incidents/1042?tab=alerts', ready: `${tab('alerts')} ~ *, [data-test=alert-row]` },
  { name: 'incident-assets', path: '/incidents/1042?tab=assets', ready: '[data-test=mailbox-copy]' },
  { name: 'incident-investigations', path: '/incidents/1042?tab=investigations', ready: 'table.plain tbody tr' },
  { name: 'incident-evidence', path: '/incidents/1042?tab=evidence', ready: '[data-test=action]', act: async (page) => { await page.locator('table.plain').first().waitFor(); } },
  { name: 'incident-activity', path: '/incidents/1042?tab=activity', ready: '.activity' },
  { name: 'alert', path: `/alerts/${alert}`, ready: '.tree-row' },
  { name: 'alerts', path: '/alerts', ready: '.grid-row' },
  { name: 'investigations', path: '/investigations', ready: '.grid-row' },
  { name: 'investigation', path: `/investigations/${id(4, 17)}`, ready: '.graph-node' },
  { name: 'investigation-failed', path: `/investigations/${id(4, 16)}?tab=log`, ready: '[data-test=failed-step]' },
  { name: 'devices', path: '/devices', ready: '.grid-row' },
  { name: 'device', path: `/devices/${devices[0]!.id}`, ready: '.grid-row', act: async (page) => { await page.locator('.grid-row').nth(2).click(); await page.locator('.pane').waitFor(); } },
  { name: 'device-overview', path: `/devices/${devices[0]!.id}?tab=overview`, ready: '.facts' },
  { name: 'file', path: `/files/${SHA.script}`, ready: '[data-test=file-copy]' },
  { name: 'mail', path: '/mail', ready: '.grid-row', act: chart },
  { name: 'mail-pane', path: `/mail?pane=${messages[0]!.message_id}&pivot=location`, ready: '.pane [data-test=copy]', act: async (page) => { await chart(page); await page.locator('.grid-row .checkbox').nth(0).click(); } },
  { name: 'mail-filters', path: '/mail?sender_domain=example.net&not.location=junkFolder,deletedItems&from=2026-11-21T00:00:00Z', ready: '.grid-row', act: async (page) => { await page.locator('[data-test=add-filter]').click(); await page.locator('[data-test=filter-field]').selectOption('verdict'); } },
  { name: 'mail-grouped', path: '/mail?group=campaign', ready: '[data-test=group]', act: chart },
  { name: 'mail-filtered', path: '/mail?subject=nothing+like+this', ready: '.state' },
  { name: 'mail-empty', path: '/mail?range=all', ready: '.state', mode: { empty: true } },
  { name: 'mail-error', path: '/mail', ready: '.state code', mode: { broken: /^\/mail\/explorer$/ } },
  { name: 'mail-crawl', path: '/mail', ready: '[data-test=crawl-open]', act: async (page) => { await page.locator('[data-test=crawl-open]').click(); await page.locator('.dialog tbody tr').first().waitFor(); } },
  { name: 'mail-wizard', path: STORY, ready: '.grid-row', act: async (page) => { await pickAll(page); await page.locator('[data-test=remedy-hardDelete]').click(); } },
  { name: 'mail-dry-run', path: STORY, ready: '.grid-row', act: async (page) => { await pickAll(page); await dryRun(page); } },
  { name: 'mail-progress', path: STORY, ready: '.grid-row', act: async (page) => { await pickAll(page); await dryRun(page); await order(page); } },
  { name: 'mail-running', path: STORY, ready: '.grid-row', mode: { unfinished: true }, act: async (page) => { await pickAll(page); await dryRun(page); await order(page); await page.locator('[data-test=state-pending]').waitFor(); } },
  { name: 'mail-block', path: STORY, ready: '.grid-row', act: async (page) => { await pickAll(page); await dryRun(page); await page.locator('[data-test=confirm-warnings]').check(); await page.locator('[data-test=wizard-next]').click(); await page.locator('[data-test=block-url]').first().check(); } },
  { name: 'mail-blocked', path: STORY, ready: '.grid-row', act: async (page) => { await pickAll(page); await dryRun(page); await page.locator('[data-test=confirm-warnings]').check(); await page.locator('[data-test=wizard-next]').click(); await page.locator('[data-test=block-senderDomain]').check(); await page.locator('[data-test=wizard-next]').click(); await page.locator('.dialog textarea').fill('INC-1042'); await page.locator('[data-test=wizard-next]').click(); await page.locator('[data-test=blocks]').waitFor(); } },
  { name: 'mail-action', path: `/actions/${id(6, 3)}`, ready: '[data-test=progress] .grid-row' },
  { name: 'action-of-a-device', path: `/actions/${id(6, 6)}`, ready: '[data-test=receipts] tbody tr' },
  { name: 'message', path: `/mail/${messages[0]!.message_id}`, ready: 'table.plain' },
  { name: 'message-header', path: `/mail/${messages[0]!.message_id}`, ready: 'table.plain', act: readHeader },
  { name: 'pivot', path: `/pivot?value=${SHA.script}`, ready: '[data-test=way] .stop' },
  { name: 'pivot-partial', path: `/pivot?value=${SENDER}`, ready: '[data-test=truncated]' },
  { name: 'pivot-unknown', path: '/pivot?value=203.0.113.9', ready: '.state' },
  { name: 'pivot-error', path: '/pivot?value=203.0.113.9', ready: '.state code', mode: { broken: /^\/pivot$/ } },
  { name: 'pivot-ask', path: '/pivot', ready: '[data-test=pivot-value]' },
  { name: 'actions', path: '/actions', ready: '[data-test=action]' },
  { name: 'actions-history', path: '/actions?tab=history', ready: '[data-test=action]', act: async (page) => { await page.locator('summary').first().click(); } },
  { name: 'indicators', path: '/indicators', ready: '.grid-row' },
  { name: 'indicators-import', path: '/indicators', ready: '.grid-row', act: async (page) => {
    await page.locator('[data-test=indicators-import]').click();
    await page.locator('.dialog input.input').first().fill('feed');
    await page.locator('.dialog textarea').fill('pay.attacker.test\n198.51.100.0/24\nnonsense');
    await page.locator('[data-test=indicator-import]').click();
    await page.locator('[data-test=indicator-dry-run]').waitFor();
  } },
  { name: 'indicators-imports', path: '/indicators', ready: '.grid-row', act: async (page) => { await page.locator('[data-test=indicators-imports]').click(); await page.locator('.dialog tbody tr').waitFor(); } },
  { name: 'audit', path: '/audit', ready: '.grid-row' },
  { name: 'audit-forbidden', path: '/audit', ready: '.state', mode: { role: 'viewer' } },
  { name: 'search', path: '/search?q=invoice', ready: '.need' },
  { name: 'settings-profile', path: '/settings/profile', ready: '[data-test=totp-start]' },
  { name: 'settings-sessions', path: '/settings/sessions', ready: 'table.plain tbody tr' },
  { name: 'settings-automation', path: '/settings/automation', ready: '.radio-card' },
  { name: 'settings-enrolment', path: '/settings/enrolment', ready: 'table.plain tbody tr', act: async (page) => { await page.locator('[data-test=enrol-create]').click(); await page.locator('[data-test=enrol-line]').waitFor(); } },
  { name: 'settings-users', path: '/settings/users', ready: 'table.plain tbody tr' },
  { name: 'settings-tokens', path: '/settings/tokens', ready: 'table.plain tbody tr' },
  { name: 'settings-demos', path: '/settings/demos', ready: '[data-test=demo]' },
  { name: 'settings-demos-empty', path: '/settings/demos', ready: '.state', mode: { empty: true } },
  { name: 'isolate-dialog', path: `/devices/${devices[0]!.id}?tab=overview`, ready: '.facts', act: async (page) => { await page.locator('[data-test=isolate]').click(); await page.locator('.dialog textarea').waitFor(); } },
  { name: 'phone-incidents', path: '/incidents', ready: '.grid-row', width: 360, height: 740 },
  { name: 'phone-mail', path: '/mail', ready: '.grid-row', width: 390, height: 844, act: chart },
  { name: 'phone-dry-run', path: STORY, ready: '.grid-row', width: 390, height: 844, act: async (page) => { await pickAll(page); await dryRun(page); } },
  { name: 'phone-message', path: `/mail/${messages[0]!.message_id}`, ready: 'table.plain', width: 390, height: 844 },
  { name: 'phone-message-header', path: `/mail/${messages[0]!.message_id}`, ready: 'table.plain', width: 390, height: 844, act: readHeader },
  { name: 'phone-pivot', path: `/pivot?value=${SHA.script}`, ready: '[data-test=way] .stop', width: 390, height: 844 },
  { name: 'phone-file', path: `/files/${SHA.script}`, ready: '[data-test=way] .stop', width: 390, height: 844 },
  { name: 'phone-block', path: STORY, ready: '.grid-row', width: 390, height: 844, act: async (page) => { await pickAll(page); await dryRun(page); await page.locator('[data-test=confirm-warnings]').check(); await page.locator('[data-test=wizard-next]').click(); await page.locator('[data-test=block-url]').first().check(); } },
  { name: 'phone-assets', path: '/incidents/1042?tab=assets', ready: '[data-test=mailbox-copy]', width: 390, height: 844 },
  { name: 'phone-demos', path: '/settings/demos', ready: '[data-test=demo]', width: 390, height: 844 },
  { name: 'phone-incident', path: '/incidents/1042?tab=evidence', ready: '[data-test=action]', width: 360, height: 740 },
  { name: 'settings-notifications', path: '/settings/notifications', ready: '[data-test=notification]', act: async (page) => { await page.locator('[data-test=channel-test]').first().click(); await page.locator('[data-test=channel-answer]').waitFor(); } },
  { name: 'phone-notifications', path: '/settings/notifications', ready: '[data-test=notification]', width: 390, height: 844 },
  { name: 'wizard-narrow', path: `/mail?recipient=${messages[3]!.recipient}&range=all`, ready: '.grid-row', act: async (page) => { await page.locator('.grid-row .checkbox').first().click(); await page.locator('[data-test=act]').click(); await page.locator('[data-test=narrow]').waitFor(); } },
  { name: 'tuning', path: '/tuning', ready: '[data-test=tuning-rule]' },
  { name: 'tuning-empty', path: '/tuning', ready: '.state', mode: { empty: true } },
  { name: 'tuning-quality', path: '/tuning?tab=quality', ready: '[data-test=rule-quality]' },
  { name: 'tuning-draft', path: `/alerts/${alert}`, ready: '[data-test=tune]', act: tune },
  { name: 'phone-tuning', path: '/tuning', ready: '[data-test=tuning-rule]', width: 390, height: 844 },
  { name: 'phone-tuning-draft', path: `/alerts/${alert}`, ready: '[data-test=tune]', width: 390, height: 844, act: tune },
  { name: 'automation-preview', path: '/settings/automation', ready: '[data-test=preview-ask]', act: async (page) => { await page.locator('[data-test=preview-ask]').click(); await page.locator('[data-test=preview] summary').click(); } },
  { name: 'automation-policy', path: '/settings/automation', ready: '[data-test=policy-hours]', act: async (page) => { await page.locator('[data-test=policy-hours]').scrollIntoViewIfNeeded(); } },
  { name: 'automation-viewer', path: '/settings/automation', ready: '[data-test=policy-hours]', mode: { role: 'viewer' } },
  { name: 'action-two-persons', path: `/actions/${id(6, 7)}`, ready: '[data-test=approvals]' },
  { name: 'action-expired', path: `/actions/${id(6, 8)}`, ready: '[data-test=history]' },
  { name: 'phone-automation', path: '/settings/automation', ready: '[data-test=preview-ask]', width: 390, height: 844, act: async (page) => { await page.locator('[data-test=preview-ask]').click(); await page.locator('[data-test=preview-count]').first().waitFor(); } },
  { name: 'indicators-feeds', path: '/indicators', ready: '.grid-row', act: async (page) => { await page.locator('[data-test=indicators-feeds]').click(); await page.locator('[data-test=feed-test]').first().click(); await page.locator('[data-test=feed-answer] .chip').waitFor(); } },
  { name: 'indicators-looks', path: '/indicators', ready: '.grid-row', act: async (page) => { await page.locator('[data-test=indicators-looks]').click(); await page.locator('[data-test=look-found]').waitFor(); } },
  { name: 'indicators-why', path: '/indicators?text=pay.supplier-invoices.example', ready: '[data-test=indicators-why]', act: async (page) => { await page.locator('[data-test=indicators-why]').click(); await page.locator('[data-test=why]').waitFor(); } },
  { name: 'indicators-devices', path: '/indicators', ready: '.grid-row', act: async (page) => { await page.locator('[data-test=indicator-devices]').first().click(); await page.locator('[data-test=reach] tbody tr').first().waitFor(); } },
  { name: 'indicators-add', path: '/indicators', ready: '.grid-row', act: async (page) => { await page.locator('[data-test=indicators-add]').click(); await page.locator('.dialog textarea').waitFor(); } },
  { name: 'phone-indicators', path: '/indicators', ready: '.grid-row', width: 390, height: 844 },
  { name: 'phone-indicators-feeds', path: '/indicators', ready: '.grid-row', width: 390, height: 844, act: async (page) => { await page.locator('[data-test=indicators-feeds]').click(); await page.locator('[data-test=feeds]').waitFor(); } },
  { name: 'alert-node', path: `/alerts/${alert}`, ready: '.tree-row', act: async (page) => { await page.locator('.tree-row', { hasText: '--daemon' }).first().click(); await page.locator('[data-test=decoded]').waitFor(); } },
  { name: 'decide', path: `/alerts/${alert}`, ready: '.tree-row', act: async (page) => { await page.locator('.tree-row', { hasText: '203.0.113.77:4444' }).first().click(); await page.locator('[data-test=decide-block]').click(); await page.locator('[data-test=would-match] .banner').waitFor(); } },
  { name: 'incident-move', path: '/incidents/1042?tab=alerts', ready: '[data-test=alert-row]', act: async (page) => { await page.locator('[data-test=alert-row] .checkbox').nth(1).click(); await page.locator('[data-test=move-alerts]').click(); await page.locator('.dialog input.input').fill('1041'); await page.locator('.dialog select').waitFor(); } },
  { name: 'incident-merge', path: '/incidents/1042', ready: '.tree-row', act: async (page) => { await page.getByRole('button', { name: /Edit|編集/ }).first().click(); await page.getByRole('menuitem', { name: /Merge with|ほかのインシデント/ }).click(); await page.locator('.dialog input.input').fill('INC-1041'); } },
];
