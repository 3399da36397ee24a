import { proofGroups } from '../src/lib/proof';
import { expect, test } from 'vitest';
import { messages, SHA } from '../e2e/data';
import { totp } from '../e2e/totp.mjs';
import { ApiError, path } from '../src/api/client';
import { families } from '../src/api/live';
import { fromBuffer, toBuffer } from '../src/api/passkeys';
import { actorOf, kindOf, subjectOf } from '../src/devices/event-words';
import { carriedAs } from '../src/files/page';
import { entityLabel, pageOf, parseEntity, visible } from '../src/lib/entity';
import { activeFilters, readFilters, writeFilters } from '../src/lib/filters';
import { ago, bytes, duration } from '../src/lib/time';
import { determinationsOf } from '../src/incidents/resolve';
import { classifications, determinations, type EventRow } from '../src/api/types';

test('filters live in the URL and plain links stay plain', () => {
  const defaults = { text: '', status: 'open' };
  const params = writeFilters(new URLSearchParams('pane=7'), defaults, { text: '請求書 & co', status: 'all' });
  expect(readFilters(params, defaults)).toEqual({ text: '請求書 & co', status: 'all' });
  expect(activeFilters(readFilters(params, defaults), defaults)).toEqual(['text', 'status']);
  expect(writeFilters(params, defaults, defaults).toString()).toBe('pane=7');
});

test('every entity has a page, whatever its value', () => {
  expect(pageOf('file:abc')).toBe('/files/abc');
  expect(pageOf('messageCopy:0190-x/a@b.example')).toBe('/mail/0190-x');
  expect(pageOf('process:dev/1/2')).toBe('/devices/dev');
  expect(pageOf('mailbox:a+b@c.example')).toBe('/mail?recipient=a%2Bb%40c.example&range=all');
  expect(pageOf('url:javascript:alert(1)')).toBe('/mail?url=javascript%3Aalert(1)&range=all');
  expect(pageOf('ip:../../x')).toBe('/search?q=..%2F..%2Fx');
  expect(parseEntity('url:https://x/y:1').value).toBe('https://x/y:1');
  expect(entityLabel('process:dev/4711/99')).toBe('PID 4711');
});

test('control and direction characters are shown instead of obeyed', () => {
  expect(visible('a\u202egpj.exe')).toBe('a‹U+202E›gpj.exe');
  expect(visible('line\nnext\ttab 日本語 👍')).toBe('line\nnext\ttab 日本語 👍');
  expect(visible('\u0000\u001b[31m')).toBe('‹U+0000›‹U+001B›[31m');
});

test('dates, durations and sizes in both languages', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  expect(ago('2026-11-22T09:58:00Z', now, 'ja')).toBe('2 分前');
  expect(ago('2026-11-22T09:58:00Z', now, 'en')).toBe('2 min. ago');
  expect(duration(0.4, 'en')).toBe('400 µs');
  expect(duration(90_000, 'ja')).toBe('1 分 30 秒');
  expect(bytes(812, 'en')).toBe('812 bytes');
  expect(bytes(4_812, 'en')).toBe('4.8 kB');
});

test('a file inside an archive is named with its way, and rings end', () => {
  expect(carriedAs(messages[0]!, SHA.script)?.path).toBe('invoice.zip › invoice.sh');
  const ring = { ...messages[0]!, attachments: [{ name: 'a', sha256: 'a', size: 1, file_type: '', parent_sha256: 'b', uninspected: null }, { name: 'b', sha256: 'b', size: 1, file_type: '', parent_sha256: 'a', uninspected: null }] };
  expect(carriedAs(ring, 'a')?.path).toBe('b › a');
  expect(carriedAs(messages[0]!, 'nope')).toBe(null);
});

test('events in words', () => {
  const event = (more: object) => ({ Table: 'DeviceEvents', Timestamp: '2026-11-22T10:00:00Z', ...more }) as EventRow;
  expect(kindOf(event({ ActionType: 'ExecBlocked' }))).toBe('detection');
  expect(subjectOf(event({ Table: 'DeviceNetworkEvents', RemoteIP: '192.0.2.1', RemotePort: 443 }))).toBe('192.0.2.1:443');
  expect(subjectOf(event({ Table: 'DeviceFileEvents', PreviousFolderPath: '/a', FolderPath: '/b' }))).toBe('/a → /b');
  expect(actorOf(event({ InitiatingProcessFileName: 7 }))).toBe('7');
});

test('requests: empty filters are left out, problems speak the viewer\'s language', () => {
  expect(path('/api/v1/x', { a: '', b: undefined, c: null, d: 0, e: 'x y' })).toBe('/api/v1/x?d=0&e=x+y');
  const error = new ApiError({ title: 'Gone', status: 410, code: 'gone', message_ja: '消えました' });
  expect(error.text('ja')).toBe('消えました');
  expect(error.text('en')).toBe('Gone');
});

test('passkeys: base64url there and back', () => {
  for (let length = 0; length < 70; length += 1) {
    const bytesIn = Uint8Array.from({ length }, (_, index) => (index * 37 + length) & 255);
    const text = fromBuffer(bytesIn.buffer);
    expect(text).not.toMatch(/[+/=]/);
    expect(new Uint8Array(toBuffer(text))).toEqual(bytesIn);
  }
});

test('every kind of live event refreshes something, every classification has its answers', () => {
  for (const routes of Object.values(families)) expect(routes.length).toBeGreaterThan(0);
  const offered = classifications.flatMap((one) => determinationsOf[one]);
  expect([...new Set(offered)].sort()).toEqual([...determinations].sort());
});

test('one-time passwords are those of RFC 6238', () => {
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  expect([59, 1_111_111_109, 2_000_000_000].map((seconds) => totp(secret, seconds * 1_000))).toEqual(['287082', '081804', '279037']);
});

test('a proof is told flat, one list per mail, whatever it holds', () => {
  const proof = { mails: [{ mailbox: 'a@b.example', folder: 'INBOX', id: { uid: 7 }, moved_to: null, restored: { folder: 'INBOX', id: 9 }, not_kept: [] }], left_alone: [{ folder: 'Junk', difference: 'body' }] };
  expect(proofGroups(JSON.stringify(proof))).toEqual([
    [['mailbox', 'a@b.example'], ['folder', 'INBOX'], ['id.uid', '7'], ['restored.folder', 'INBOX'], ['restored.id', '9']],
    [['left_alone.folder', 'Junk'], ['left_alone.difference', 'body']],
  ]);
  expect(proofGroups('{"killed":[1,2]}')).toEqual([[['killed', '[1,2]']]]);
  expect(proofGroups('not json')).toEqual([[['', 'not json']]]);
  expect(proofGroups('[]')).toEqual([[['', '[]']]]);
  expect(proofGroups('{"mails":[],"left_alone":[]}')).toEqual([]);
});
