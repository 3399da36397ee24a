import { expect, test } from 'vitest';
import { firstMatch, isActive, matchPath } from '../src/lib/route';

test('a path fits its pattern part by part, with its values decoded', () => {
  expect(matchPath('incidents/:id', '/incidents/1042')).toEqual({ id: '1042' });
  expect(matchPath('incidents/:id', '/incidents/1042/')).toEqual({ id: '1042' });
  expect(matchPath('mail/:id', '/mail/a%2Fb%20c')).toEqual({ id: 'a/b c' });
  expect(matchPath('', '/')).toEqual({});
  for (const path of ['/incidents', '/incidents/1/2', '/alerts/1', '/']) expect(matchPath('incidents/:id', path)).toBeNull();
});

test('the last part may be left out where the pattern says so', () => {
  expect(matchPath('settings/:section?', '/settings')).toEqual({});
  expect(matchPath('settings/:section?', '/settings/users')).toEqual({ section: 'users' });
  expect(matchPath('settings/:section?', '/settings/users/1')).toBeNull();
});

test('a damaged escape is another page, not an error', () => {
  expect(matchPath('files/:sha256', '/files/%E0%A4%A')).toBeNull();
});

test('the first pattern that fits is taken', () => {
  const patterns = ['mail', 'mail/bulk/:id', 'mail/:id'];
  expect(firstMatch(patterns, '/mail/bulk/7')).toEqual({ pattern: 'mail/bulk/:id', params: { id: '7' } });
  expect(firstMatch(patterns, '/mail/7')).toEqual({ pattern: 'mail/:id', params: { id: '7' } });
  expect(firstMatch(patterns, '/nothing')).toBeNull();
});

test('a link is active on its page and below it, not beside it', () => {
  expect(isActive('/mail', '/mail/7', false)).toBe(true);
  expect(isActive('/mail', '/mailbox', false)).toBe(false);
  expect(isActive('/', '/mail', true)).toBe(false);
  expect(isActive('/', '/', true)).toBe(true);
});
