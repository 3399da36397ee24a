import { proofGroups } from '../src/lib/proof';
import { expect, test } from 'vitest';
import { messages, SHA } from '../e2e/data';
import { totp } from '../e2e/totp.mjs';
import { ApiError, path } from '../src/api/client';
import { families } from '../src/api/live';
import { fromBuffer, toBuffer } from '../src/api/passkeys';
import { actorOf, kindOf, subjectOf } from '../src/devices/event-words';
import { carriedAs } from '../src/files/page';
import { defanged, entityLabel, pageOf, pageOfText, parseEntity, visible } from '../src/lib/entity';
import { activeFilters, readFilters, writeFilters } from '../src/lib/filters';
import { table } from '../src/lib/export';
import { readViews, viewOf, withView, writeViews } from '../src/lib/views';
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
  expect(pageOf('ip:../../x')).toBe('/pivot?value=ip%3A..%2F..%2Fx');
  expect(parseEntity('url:https://x/y:1').value).toBe('https://x/y:1');
  expect(entityLabel('process:dev/4711/99')).toBe('PID 4711');
});

test('a text of the search leads to a page when it can only be one value', () => {
  const file = 'AB'.repeat(32);
  expect(pageOfText(file)).toBe(`/files/${file.toLowerCase()}`);
  expect([pageOfText('INC-1042'), pageOfText('7')]).toEqual(['/incidents/1042', '/incidents/7']);
  for (const value of ['ab'.repeat(16), 'ab'.repeat(20), 'hxxps://evil[.]example/x', 'http://a/b', '203.0.113.7', '203[.]0[.]113[.]7', '2001:db8::7', 'a@b.example', '<m1@mail.example>', 'evil[.]example']) {
    expect(pageOfText(value), value).toBe(`/pivot?value=${encodeURIComponent(value)}`);
  }
  for (const words of ['pc-tanaka', 'quarterly report', 'invoice.sh', 'a@b and c']) expect(pageOfText(words), words).toBe(`/search?q=${encodeURIComponent(words)}`);
});

test('links of strangers are text', () => {
  expect(defanged('https://evil.example/a.b?c=d.e')).toBe('hxxps://evil[.]example/a.b?c=d.e');
  expect(defanged('HTTP://203.0.113.7:8080/x')).toBe('hxxp://203[.]0[.]113[.]7:8080/x');
  expect(defanged('evil.example')).toBe('evil[.]example');
  expect(defanged('ftp://evil.example/\u202egnp.exe')).toBe('ftp://evil[.]example/‹U+202E›gnp.exe');
  expect([defanged(''), defanged('javascript:alert(1)')]).toEqual(['', 'javascript:alert(1)']);
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

test('a table of what the API answers: fields in order, both spreadsheets and strangers minded', () => {
  const items = [
    { id: 'a', title: { en: 'One, "two"', ja: '一つ' }, tags: ['x', 'y'], status: { os: 'Debian', deep: { deeper: { deepest: 1 } } }, count: 3, none: null },
    { id: '=cmd()', extra: [{ a: 1 }], count: -5 },
  ];
  expect(table(items, 'en')).toBe('\ufeff' + [
    'id,title,tags,status.os,status.deep.deeper,count,none,extra',
    'a,"One, ""two""",x y,Debian,"{""deepest"":1}",3,,',
    `'=cmd(),,,,,-5,,"[{""a"":1}]"`,
  ].join('\r\n') + '\r\n');
  expect(table(items.slice(0, 1), 'ja')).toContain('一つ');
  expect(table([], 'en')).toBe('\ufeff\r\n');
});

test('views: what belongs to a moment is left out, a name is there once, damage is survived', () => {
  expect(viewOf('?status=all&pane=7&hide=owner&cursor=x')).toBe('hide=owner&status=all');
  let stored = writeViews('not json', '/incidents', withView([{ name: 'Mine', search: 'a=1' }], { name: ' Mine ', search: 'b=2' }));
  expect(readViews(stored, '/incidents')).toEqual([{ name: 'Mine', search: 'b=2' }]);
  stored = writeViews(stored, '/alerts', [{ name: 'Night', search: '' }]);
  expect([readViews(stored, '/alerts').length, readViews(stored, '/devices').length]).toEqual([1, 0]);
  expect(readViews(writeViews(stored, '/alerts', []), '/alerts')).toEqual([]);
  for (const bad of [null, '', '[]', '{"/alerts": 7}', '{"/alerts": [null, {"name": 1}]}', '"x"']) expect(readViews(bad, '/alerts'), String(bad)).toEqual([]);
  const many = Array.from({ length: 40 }, (_, n) => ({ name: String(n), search: '' }));
  expect(withView(many, { name: 'x'.repeat(99), search: '' })).toHaveLength(30);
});
