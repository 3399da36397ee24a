// The explorer's filter: removable words in the URL, the same as parameters of the API and as the
// filter of an action.
import type { Query } from '../api/client';
import type { MailCondition, MailFilter } from '../api/types';
import { fields, isMailField } from './fields';

export type Token = MailCondition & { negate: boolean };

export const ranges = { '24h': 86_400_000, '7d': 604_800_000, '30d': 2_592_000_000, '90d': 7_776_000_000 } as const;
export type RangeName = keyof typeof ranges;
export const RANGE_DEFAULT: RangeName = '30d';
/** A running range moves in steps, so that the question stays the same while one looks at it. */
const STEP_MS = 300_000;
const NOT = 'not.';

/** `all`, one of the ranges, or two moments in RFC 3339. */
export interface Span { range: RangeName | 'all' | 'custom'; from?: string; to?: string }

export interface MailQuery { tokens: Token[]; span: Span }

export function readQuery(params: URLSearchParams): MailQuery {
  const tokens: Token[] = [];
  for (const [name, value] of params) {
    const negate = name.startsWith(NOT);
    const field = negate ? name.slice(NOT.length) : name;
    if (!isMailField(field)) continue;
    const values = split(field, value);
    if (values.length > 0) tokens.push({ field, negate, values });
  }
  const from = moment(params.get('from'));
  const to = moment(params.get('to'));
  const range = params.get('range') ?? '';
  if (from || to) return { tokens, span: { range: 'custom', from, to } };
  return { tokens, span: { range: range === 'all' || range in ranges ? (range as RangeName | 'all') : RANGE_DEFAULT } };
}

/** Writes tokens and time into parameters, keeping those of other parts of the page. */
export function writeQuery(params: URLSearchParams, { tokens, span }: MailQuery): URLSearchParams {
  const next = new URLSearchParams();
  for (const [name, value] of params) {
    const field = name.startsWith(NOT) ? name.slice(NOT.length) : name;
    if (!isMailField(field) && !['range', 'from', 'to'].includes(name)) next.append(name, value);
  }
  for (const { field, negate, values } of tokens) next.append(`${negate ? NOT : ''}${field}`, values.join(','));
  if (span.range === 'custom') {
    if (span.from) next.set('from', span.from);
    if (span.to) next.set('to', span.to);
  } else if (span.range !== RANGE_DEFAULT) next.set('range', span.range);
  return next;
}

/** The moments a span means at `now`. */
export function timesOf(span: Span, now: number): { from?: string; to?: string } {
  if (span.range === 'custom') return { from: span.from, to: span.to };
  if (span.range === 'all') return {};
  return { from: new Date(Math.floor(now / STEP_MS) * STEP_MS - ranges[span.range]).toISOString() };
}

/** As parameters of `GET /mail/explorer`. */
export function queryOf({ tokens, span }: MailQuery, now: number): Query {
  const query: Record<string, string[]> = {};
  for (const { field, negate, values } of tokens) (query[`${negate ? NOT : ''}${field}`] ??= []).push(values.join(','));
  return { ...query, ...timesOf(span, now) };
}

/** As the filter of a dry run or a bulk action. */
export function filterOf({ tokens, span }: MailQuery, now: number): MailFilter {
  const { from, to } = timesOf(span, now);
  return { conditions: tokens.map(({ field, negate, values }) => ({ field, negate, values })), from: from ?? null, to: to ?? null };
}

/** A filter of an action as parameters of `GET /mail/explorer`. */
export function conditionsOf(filter: MailFilter): Query {
  const tokens = (filter.conditions ?? []).map(({ field, negate, values }) => ({ field, negate: Boolean(negate), values }));
  return queryOf({ tokens, span: { range: 'custom', from: filter.from ?? undefined, to: filter.to ?? undefined } }, 0);
}

/** Where a filter of an action shows in the explorer. */
export function explorerLink(filter: MailFilter): string {
  const tokens = (filter.conditions ?? []).map(({ field, negate, values }) => ({ field, negate: Boolean(negate), values }));
  const span: Span = filter.from || filter.to ? { range: 'custom', from: filter.from ?? undefined, to: filter.to ?? undefined } : { range: 'all' };
  return `/mail?${writeQuery(new URLSearchParams(), { tokens, span })}`;
}

/** Adds values; those of the same field and sense join the token there is, where one may hold several. */
export function addToken(tokens: Token[], add: Token): Token[] {
  const entry = fields[add.field].entry;
  const at = tokens.findIndex((token) => token.field === add.field && token.negate === add.negate);
  const there = tokens[at];
  if (!there) return [...tokens, add];
  if (entry === 'text' && add.field !== 'text') return tokens.some((token) => sameToken(token, add)) ? tokens : tokens.with(at, add);
  if (add.field === 'text') return tokens.some((token) => sameToken(token, add)) ? tokens : [...tokens, add];
  const values = entry === 'number' ? add.values : [...new Set([...there.values, ...add.values])];
  return tokens.with(at, { ...there, values });
}

export function sameToken(a: Token, b: Token): boolean {
  return a.field === b.field && a.negate === b.negate && a.values.join('\n') === b.values.join('\n');
}

/** What somebody typed: `field:value`, `-field:value`, or words to look for. */
export function parseTyped(typed: string): Token | null {
  const text = typed.trim();
  if (!text) return null;
  const match = /^(-?)([a-z_0-9]+):\s*(.+)$/s.exec(text);
  const name = match?.[2] ?? '';
  if (match && isMailField(name)) {
    const value = match[3]!.replace(/^"(.*)"$/s, '$1');
    const values = split(name, value);
    if (values.length > 0 && problemOf(name, value) === null) return { field: name, negate: match[1] === '-', values };
  }
  return { field: 'text', negate: false, values: [text] };
}

/** Why a value cannot be meant; null when it can. */
export function problemOf(field: Token['field'], value: string): 'missing' | 'number' | null {
  if (!value.trim()) return 'missing';
  if (fields[field].entry === 'number' && !/^\d{1,15}$/.test(value.trim())) return 'number';
  return null;
}

export function split(field: Token['field'], value: string): string[] {
  const values = fields[field].entry === 'text' ? [value] : value.split(',');
  return values.map((one) => one.trim()).filter(Boolean);
}

function moment(value: string | null): string | undefined {
  const at = value ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}
