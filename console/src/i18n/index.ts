// The console's words. A library for this weighs more than all words of one language, so the few
// things needed are here: typed keys, values in {{braces}}, plurals by Intl, one language loaded.
import { createContext, useCallback, useContext, useMemo, useSyncExternalStore } from 'react';
import type { Language, Text } from '../api/types';
import type { en } from './en';

type Words = typeof en;
type Leaves<T, P extends string = ''> = {
  [K in keyof T & string]: T[K] extends string ? `${P}${K}` : Leaves<T[K], `${P}${K}.`>;
}[keyof T & string];
type Base<K> = K extends `${infer Stem}_one` ? Stem : K extends `${infer Stem}_other` ? Stem : K;
/** Every key, plurals without their ending. */
export type Key = Base<Leaves<Words>>;
export type Values = Record<string, string | number>;
export type Translate = (key: Key, values?: Values) => string;

const STORED = 'hinomi.language';
const loaders: Record<Language, () => Promise<Words>> = {
  en: () => import('./en').then((module) => module.en),
  ja: () => import('./ja').then((module) => module.ja),
};
const loaded: Partial<Record<Language, Words>> = {};
const listeners = new Set<() => void>();
let shown: Language = 'en';

export function storedLanguage(): Language | null {
  try {
    const language = localStorage.getItem(STORED);
    return language === 'ja' || language === 'en' ? language : null;
  } catch {
    return null;
  }
}

async function show(language: Language) {
  loaded[language] ??= await loaders[language]();
  shown = language;
  document.documentElement.lang = language;
  for (const listener of listeners) listener();
}

export function startI18n(): Promise<void> {
  return show(storedLanguage() ?? (navigator.language.toLowerCase().startsWith('ja') ? 'ja' : 'en'));
}

export function setLanguage(language: Language): Promise<void> {
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // storage is switched off: the choice lasts for this visit
  }
  return show(language);
}

function find(words: unknown, key: string): string | undefined {
  const found = key.split('.').reduce<unknown>(
    (node, part) => (node && typeof node === 'object' ? (node as Record<string, unknown>)[part] : undefined), words);
  return typeof found === 'string' ? found : undefined;
}

export function translator(words: unknown, language: Language): Translate {
  const plurals = new Intl.PluralRules(language);
  return (key, values = {}) => {
    const count = values.count;
    const form = typeof count === 'number' ? (plurals.select(count) === 'one' ? 'one' : 'other') : 'other';
    const text = find(words, key) ?? find(words, `${key}_${form}`) ?? find(words, `${key}_other`) ?? key;
    return text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(values[name] ?? ''));
  };
}

const current = () => shown;

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Now, advanced by the frame, so that relative times move together. */
export const NowContext = createContext<number>(Date.now());
export const useNow = () => useContext(NowContext);

/** Words of the console, the viewer's language, and texts of the server in it. */
export function useT() {
  const language = useSyncExternalStore(subscribe, current);
  const t = useMemo(() => translator(loaded[language], language), [language]);
  const text = useCallback((value: Text | null | undefined) => (value ? value[language] || value.en : ''), [language]);
  return { t, language, text };
}
