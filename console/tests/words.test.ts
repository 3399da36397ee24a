import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { translator, type Key } from '../src/i18n';
import { en } from '../src/i18n/en';
import { ja } from '../src/i18n/ja';

type Tree = { [key: string]: string | Tree };

function flat(tree: Tree, prefix = ''): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') out.set(prefix + key, value);
    else for (const [inner, text] of flat(value, `${prefix}${key}.`)) out.set(inner, text);
  }
  return out;
}

const english = flat(en);
const japanese = flat(ja);

test('both languages have the same keys, none empty, with the same values inside', () => {
  expect([...japanese.keys()].sort()).toEqual([...english.keys()].sort());
  for (const [key, text] of english) {
    const other = japanese.get(key)!;
    expect(text.trim() && other.trim(), key).toBeTruthy();
    const values = (words: string) => [...new Set(words.match(/\{\{\w+\}\}/g) ?? [])].sort();
    // a plural's singular may leave the number out
    if (!key.endsWith('_one')) expect(values(other), key).toEqual(values(text));
  }
});

test('Japanese is Japanese, English is English', () => {
  const latinIsFine = /^(severity|keys|tactic|fact|indicatorKind|pivotType|columns)\.|^entity\.|sha256|\.(url|title)$|_one$|_other$/;
  for (const [key, text] of japanese) if (!latinIsFine.test(key)) expect(text, key).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
  for (const [key, text] of english) expect(text, key).not.toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
});

test('plurals and values', () => {
  const t = translator(en, 'en');
  expect(t('words.days', { count: 1 })).toBe('1 day');
  expect(t('words.days', { count: 30 })).toBe('30 days');
  expect(translator(ja, 'ja')('words.days', { count: 1 })).toBe('1 日');
  expect(t('nope' as Key)).toBe('nope');
});

test('every plain key used in the sources exists, every key is used', () => {
  const sources: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) walk(join(folder, entry.name));
      else if (/\.tsx?$/.test(entry.name) && !folder.includes('i18n')) sources.push(readFileSync(join(folder, entry.name), 'utf8'));
    }
  };
  walk(new URL('../src', import.meta.url).pathname);
  const code = sources.join('\n');
  const stems = new Set([...english.keys()].map((key) => key.replace(/_(one|other)$/, '')));
  for (const [, key] of code.matchAll(/\bt\('([\w.-]+)'/g)) expect(stems.has(key!), key).toBe(true);
  const literals = new Set([...code.matchAll(/'([\w.-]+)'/g)].map((match) => match[1]!));
  const patterns = [...code.matchAll(/`([\w.]+\.\w*)\$\{[^`]*`/g)].map((match) => match[1]!);
  const unused = [...stems].filter((key) => !literals.has(key) && !patterns.some((pattern) => key.startsWith(pattern)));
  expect(unused).toEqual([]);
});
