// Files made in the browser from what a page shows.

export type Cell = string | number | boolean | null | undefined;

/** Hands a file to the person. */
export function download(name: string, type: string, content: string) {
  const url = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // the browser has taken the content when the click returns
  setTimeout(() => URL.revokeObjectURL(url), 0);
}

/**
 * RFC 4180, with a byte order mark so that spreadsheets read it as UTF-8. A cell a spreadsheet would
 * run as a formula gets an apostrophe before it, because names and subjects come from strangers.
 */
export function csv(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return `\ufeff${[head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

function cell(value: Cell): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Objects of the API as a CSV table: a column per field in the order they first come, fields of inner
 * objects as `outer.inner`, lists joined by spaces, texts in two languages in the reader's.
 */
export function table(items: readonly object[], language: 'en' | 'ja'): string {
  const rows = items.map((item) => flat(item, language));
  const head = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  return csv(head, rows.map((row) => head.map((name) => row.get(name))));
}

/** Objects deeper than this are written as JSON. */
const DEPTH_MAX = 3;

function flat(item: object, language: 'en' | 'ja', prefix = '', depth = 1, out = new Map<string, Cell>()): Map<string, Cell> {
  for (const [name, value] of Object.entries(item) as [string, unknown][]) {
    const key = prefix + name;
    if (value === null || typeof value !== 'object') out.set(key, value as Cell);
    else if (isText(value)) out.set(key, value[language]);
    else if (Array.isArray(value)) out.set(key, value.every((one) => typeof one !== 'object') ? value.join(' ') : JSON.stringify(value));
    else if (depth >= DEPTH_MAX) out.set(key, JSON.stringify(value));
    else flat(value, language, `${key}.`, depth + 1, out);
  }
  return out;
}

function isText(value: object): value is { en: string; ja: string } {
  return Object.keys(value).length === 2 && 'en' in value && 'ja' in value && typeof value.en === 'string' && typeof value.ja === 'string';
}
