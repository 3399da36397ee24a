import { expect, test } from 'vitest';
import { path } from '../src/api/client';
import type { Action, ExplorerCounts, ExplorerMessage, MessageCopy, PivotStep, Receipt } from '../src/api/types';
import { candidatesOf, specsOf } from '../src/mail/block';
import { actionOf, stopsOf } from '../src/pivot/stops';
import { axisOf, chartOf, height, REST, SERIES_MAX } from '../src/mail/counts';
import { addToken, explorerLink, filterOf, parseTyped, queryOf, readQuery, writeQuery, type Token } from '../src/mail/filter';
import { canUndo, isArmed } from '../src/actions/item';
import { countsOf, failedOf, rowsOf, settledCount } from '../src/mail/receipts';
import { timelineOf } from '../src/mail/timeline';
import { messages } from '../e2e/data';

const NOW = Date.parse('2026-11-22T09:42:10Z');
const token = (field: Token['field'], values: string[], negate = false): Token => ({ field, values, negate });

test('the filter lives in the URL and comes back the same', () => {
  const given = new URLSearchParams('pane=x&sender_domain=a.example,b.example&not.location=quarantine&subject=One,+two&from=2026-11-01T00:00:00Z&other=1');
  const query = readQuery(given);
  expect(query.tokens).toEqual([token('sender_domain', ['a.example', 'b.example']), token('location', ['quarantine'], true), token('subject', ['One, two'])]);
  expect(query.span).toEqual({ range: 'custom', from: '2026-11-01T00:00:00.000Z', to: undefined });
  const written = writeQuery(given, query);
  expect(written.get('pane')).toBe('x');
  expect(readQuery(written)).toEqual(query);
  // the default is not written, and what is no field is left alone
  expect(writeQuery(given, { tokens: [], span: { range: '30d' } }).toString()).toBe('pane=x&other=1');
  expect(readQuery(new URLSearchParams('range=nonsense&nofield=1')).span.range).toBe('30d');
});

test('the filter as parameters and as the filter of an action', () => {
  const query = { tokens: [token('text', ['invoice']), token('text', ['november']), token('location', ['inbox', 'junkFolder'], true)], span: { range: '24h' as const } };
  const asked = path('/mail/explorer', queryOf(query, NOW));
  expect(asked).toBe('/mail/explorer?text=invoice&text=november&not.location=inbox%2CjunkFolder&from=2026-11-21T09%3A40%3A00.000Z');
  // within a step the question is the same, so the page does not ask again
  expect(path('', queryOf(query, NOW + 60_000))).toBe(path('', queryOf(query, NOW)));
  const filter = filterOf(query, NOW);
  expect(filter).toMatchObject({ from: '2026-11-21T09:40:00.000Z', to: null });
  expect(filter.conditions).toHaveLength(3);
  expect(readQuery(new URLSearchParams(explorerLink(filter).split('?')[1])).tokens).toEqual(query.tokens);
  expect(explorerLink({ conditions: [] })).toBe('/mail?range=all');
});

test('what is typed becomes a condition, or words', () => {
  expect(parseTyped('  ')).toBeNull();
  expect(parseTyped('sender:a@b.example')).toEqual(token('sender', ['a@b.example']));
  expect(parseTyped('-location:quarantine, dropped')).toEqual(token('location', ['quarantine', 'dropped'], true));
  expect(parseTyped('subject:"Hello, you"')).toEqual(token('subject', ['Hello, you']));
  expect(parseTyped('http://evil.example/a,b')).toEqual(token('text', ['http://evil.example/a,b']));
  expect(parseTyped('size_min:many')).toEqual(token('text', ['size_min:many']));
  expect(parseTyped('constructor:x')).toEqual(token('text', ['constructor:x']));
});

test('values of one field join, texts replace, words add up', () => {
  const some = addToken([token('sender', ['a'])], token('sender', ['b', 'a']));
  expect(some).toEqual([token('sender', ['a', 'b'])]);
  expect(addToken(some, token('sender', ['c'], true))).toHaveLength(2);
  expect(addToken([token('subject', ['a'])], token('subject', ['b']))).toEqual([token('subject', ['b'])]);
  expect(addToken([token('text', ['a'])], token('text', ['b']))).toHaveLength(2);
  expect(addToken([token('text', ['a'])], token('text', ['a']))).toHaveLength(1);
  expect(addToken([token('size_min', ['5'])], token('size_min', ['9']))).toEqual([token('size_min', ['9'])]);
});

const counts = (buckets: [string, Record<string, number>][], hours = 1): ExplorerCounts => ({
  bucket_hours: hours, total: 0, total_exact: true, since: null, values: [],
  buckets: buckets.map(([start, values]) => ({ start, total: Object.values(values).reduce((a, b) => a + b, 0), values: Object.entries(values).map(([value, count]) => ({ value, count })) })),
});

test('a chart fills its gaps and stacks in a fixed order', () => {
  const chart = chartOf(counts([['2026-11-22T01:00:00Z', { unknown: 1 }], ['2026-11-22T04:00:00Z', { malicious: 2, unknown: 5 }]]), ['malicious', 'unknown']);
  expect(chart.bars.map(height)).toEqual([1, 0, 0, 7]);
  expect(chart.series).toEqual([{ value: 'malicious', count: 2 }, { value: 'unknown', count: 6 }]);
  expect(chart.most).toBe(7);
  expect(chartOf(counts([])).bars).toEqual([]);
});

test('a long time joins bars, the tail of values becomes one', () => {
  const many: [string, Record<string, number>][] = Array.from({ length: 100 }, (_, day) => [new Date(Date.UTC(2026, 0, 1 + day)).toISOString(), { [`v${day % 8}`]: 1 + (day % 8) }]);
  const chart = chartOf(counts(many, 24), [], 40);
  expect(chart.bars.length).toBeLessThanOrEqual(40);
  expect(chart.hours).toBe(72);
  expect(chart.series).toHaveLength(SERIES_MAX);
  expect(chart.series.at(-1)?.value).toBe(REST);
  const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
  const total = sum(many.map(([, values]) => sum(Object.values(values))));
  expect(sum(chart.bars.map(height))).toBe(total);
  expect(sum(chart.series.map((one) => one.count))).toBe(total);
});

test('axes have round steps', () => {
  expect(axisOf(0)).toEqual([]);
  expect(axisOf(1)).toEqual([1]);
  expect(axisOf(7)).toEqual([5]);
  expect(axisOf(40)).toEqual([20, 40]);
  expect(axisOf(12_300)).toEqual([10_000]);
});

const copies = messages.slice(0, 3).map(({ message_id, recipient }) => ({ message_id, recipient }));
const receipt = (index: number, state: Receipt['state']): Receipt => ({ target: `messageCopy:${copies[index]!.message_id}/${copies[index]!.recipient}`, state, detail: { en: 'd', ja: 'd' }, proof: null, at: '2026-11-22T09:00:00Z' });
const action = (state: Action['state'], receipts: Receipt[], more: Partial<Action> = {}): Action => ({
  id: 'a1', spec: { kind: 'quarantine_messages', copies, senders_copy: true }, state, reason: { en: 'r', ja: 'r' }, proposed_by: 'sato', decided_by: 'sato', decided_at: null, comment: null, incident_id: null, investigation_id: null,
  receipts, undone_by: null, undoes: null, created_at: '2026-11-22T08:59:00Z', finished_at: '2026-11-22T09:01:00Z', expires_at: '2026-11-29T09:00:00Z', version: 1, ...more,
} as Action);

test('copies without a receipt wait while the action runs, and only then', () => {
  const running = rowsOf([action('running', [receipt(0, 'done')])]);
  expect(running.map((row) => row.state)).toEqual(['done', 'pending', 'pending']);
  expect(settledCount(countsOf(running))).toBe(1);
  expect(rowsOf([action('partiallySucceeded', [receipt(0, 'done'), receipt(1, 'failed')])])).toHaveLength(2);
  expect(running[0]).toMatchObject({ message: copies[0]!.message_id, recipient: copies[0]!.recipient });
});

test('an indicator that was in force before is not undone', () => {
  const of = (state: Receipt['state']) => action('succeeded', [{ target: 'sender:a@b', state, detail: { en: '', ja: '' }, proof: '{"indicator_id":"i1"}', at: '2026-11-22T09:00:00Z' }], {
    spec: { kind: 'add_indicator', indicator: { kind: 'senderAddress', value: 'a@b', action: 'block', severity: 'medium', note: '', expires_at: null } },
  });
  expect([canUndo(of('done')), canUndo(of('alreadyDone'))]).toEqual([true, false]);
});

test('what failed is counted; what was stopped half-way can be undone as far as it went', () => {
  const partly = action('partiallySucceeded', [receipt(0, 'done'), receipt(1, 'failed'), receipt(2, 'notFound')]);
  expect(failedOf(partly)).toBe(1);
  expect(canUndo(partly)).toBe(true);
  expect(canUndo(action('cancelled', [receipt(0, 'done'), receipt(1, 'cancelled')]))).toBe(true);
  expect(canUndo(action('cancelled', [receipt(0, 'cancelled')]))).toBe(false);
  expect(canUndo({ ...partly, undone_by: 'a2' })).toBe(false);
  expect(isArmed({ ...partly, follow_up: { until: '2026-11-24T09:00:00Z', disarmed_at: null, disarmed_by: null, receipts: [] } }, NOW)).toBe(true);
  expect(isArmed({ ...partly, follow_up: { until: '2026-11-24T09:00:00Z', disarmed_at: '2026-11-22T09:30:00Z', disarmed_by: 'sato', receipts: [] } }, NOW)).toBe(false);
});

test('the line of a message: received, delivered, ordered, moved, finished', () => {
  const moved = messages.slice(0, 12).map((copy, index): MessageCopy => ({
    ...copy, ...(index < 10 ? { latest_location: 'quarantine' as const, moved_by: 'action:a1', moved_at: `2026-11-22T09:05:${String(10 + index)}Z` } : index === 10 ? { latest_location: 'deletedItems' as const, moved_by: 'owner', moved_at: '2026-11-22T09:10:00Z' } : {}),
  }));
  const line = timelineOf(moved, [action('succeeded', [], { created_at: '2026-11-22T09:05:00Z', finished_at: '2026-11-22T09:05:30Z' })]);
  expect(line.map((one) => one.kind)).toEqual(['received', 'delivered', 'ordered', 'movedAction', 'finished', 'movedOwner']);
  expect(line[3]).toMatchObject({ count: 10, place: 'quarantine', action: 'a1' });
  // the same hand again much later is told apart
  const twice = timelineOf(moved.map((copy, index) => (index === 9 ? { ...copy, moved_at: '2026-11-22T11:00:00Z' } : copy)), []);
  expect(twice.filter((one) => one.kind === 'movedAction').map((one) => 'count' in one && one.count)).toEqual([9, 1]);
});

test('steps of a pivot: one mail is told once with its mailboxes, one device once per stage', () => {
  const step = (stage: PivotStep['stage'], second: number, more: Partial<PivotStep> = {}): PivotStep => ({
    at: `2026-11-22T09:05:0${second}Z`, stage, entity: 'device:d1', value: 'file:f', place: 'pc-tanaka', detail: '/home/tanaka/invoice.sh', by: null, ...more,
  });
  const copy = (stage: PivotStep['stage'], second: number, recipient: string, more: Partial<PivotStep> = {}) =>
    step(stage, second, { entity: `messageCopy:m1/${recipient}`, value: 'message:m1', place: recipient, detail: 'Invoice', by: 'billing@evil.example', ...more });
  const stops = stopsOf([
    step('executed', 4), step('savedByMailClient', 3, { by: 'thunderbird' }), step('executed', 5),
    copy('arrived', 1, 'a@x'), copy('delivered', 1, 'a@x'), copy('arrived', 2, 'b@x'), copy('junked', 2, 'b@x', { by: null }),
    step('executed', 5, { entity: 'device:d2', place: 'pc-sato' }),
    copy('removed', 6, 'a@x', { by: 'action:a1' }), copy('removed', 7, 'b@x', { by: 'action:a1' }), copy('moved', 3, 'b@x', { by: 'owner' }),
  ]);
  expect(stops.map((stop) => [stop.stage, stop.places.join()])).toEqual([
    ['arrived', 'a@x,b@x'], ['junked', 'b@x'], ['savedByMailClient', 'pc-tanaka'], ['moved', 'b@x'], ['executed', 'pc-tanaka'], ['executed', 'pc-sato'], ['removed', 'a@x,b@x'],
  ]);
  expect(stops[0]).toMatchObject({ message: 'm1', detail: 'Invoice', last: '2026-11-22T09:05:02Z' });
  expect(stops.map((stop) => actionOf(stop.by))).toEqual([null, null, null, null, null, null, 'a1']);
  expect(stopsOf([])).toEqual([]);
});

test('what can be blocked with an order: values of most messages first, nothing of our own', () => {
  const message = (n: number, more: object): ExplorerMessage => ({ message: { ...messages[0]!, message_id: `m${n}`, ...more }, recipients: [], recipient_count: 1 });
  const file = (name: string, sha256: string) => ({ ...messages[0]!.attachments[0]!, name, sha256 });
  const known = [
    message(1, { sender_from: 'Billing@Evil.example', urls: ['https://evil.example/a', 'https://evil.example/a'], attachments: [file('a.zip', 'aa'), file('a.zip', 'aa')] }),
    message(2, { sender_from: 'billing@evil.example', urls: ['https://evil.example/b', 'https://evil.example/a'], attachments: [] }),
    message(2, { sender_from: 'billing@evil.example', urls: ['https://evil.example/b'], attachments: [] }),
    message(3, { sender_from: 'mori@hinomi.example', urls: [], attachments: [file('b.zip', 'bb')] }),
  ];
  const found = candidatesOf(known, ['Hinomi.example']);
  expect(found.map((one) => `${one.kind} ${one.value} ${one.messages}`)).toEqual([
    'senderAddress billing@evil.example 2', 'senderDomain evil.example 2', 'url https://evil.example/a 2', 'url https://evil.example/b 1', 'fileSha256 aa 1', 'fileSha256 bb 1',
  ]);
  const specs = specsOf(found.slice(3, 5), '30', 'x'.repeat(300), Date.parse('2026-11-22T00:00:00Z'));
  expect(specs.map((one) => [one.action, one.severity, one.expires_at, one.note.length])).toEqual([['block', 'medium', '2026-12-22T00:00:00.000Z', 200], ['block', 'high', '2026-12-22T00:00:00.000Z', 200]]);
  expect(specsOf(found, '', '', 0).every((one) => one.expires_at === null)).toBe(true);
});
