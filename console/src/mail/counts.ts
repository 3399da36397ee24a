// The chart over time: gaps filled, values stacked in one order, the long tail as one.
import type { ExplorerCounts } from '../api/types';

/** Series of one chart; more cannot be told apart. */
export const SERIES_MAX = 5;
/** Bars of one chart; longer times join neighbours. */
export const BARS_MAX = 60;
/** What is beyond the series. */
export const REST = '\u0000rest';

export interface Bar { from: number; to: number; total: number; values: Map<string, number> }
export interface Chart { series: { value: string; count: number }[]; bars: Bar[]; most: number; hours: number }

/** Lays counts out as bars of equal length from the first to the last. `order` names what stands first (at the bottom). */
export function chartOf(counts: ExplorerCounts, order: readonly string[] = [], barsMax = BARS_MAX): Chart {
  const hour = 3_600_000;
  const starts = counts.buckets.map((bucket) => Date.parse(bucket.start));
  const first = Math.min(...starts);
  const last = Math.max(...starts);
  if (starts.length === 0) return { series: [], bars: [], most: 0, hours: counts.bucket_hours };
  const length = Math.max(1, counts.bucket_hours) * hour;
  const steps = Math.round((last - first) / length) + 1;
  const joined = Math.ceil(steps / Math.max(1, Math.min(barsMax, BARS_MAX)));
  const width = length * joined;
  const bars: Bar[] = Array.from({ length: Math.ceil(steps / joined) }, (_, index) => (
    { from: first + index * width, to: first + (index + 1) * width, total: 0, values: new Map() }));
  const sums = new Map<string, number>();
  for (const [index, bucket] of counts.buckets.entries()) {
    const bar = bars[Math.min(bars.length - 1, Math.floor((starts[index]! - first) / width))]!;
    bar.total += bucket.total;
    for (const { value, count } of bucket.values) {
      bar.values.set(value, (bar.values.get(value) ?? 0) + count);
      sums.set(value, (sums.get(value) ?? 0) + count);
    }
  }
  // a legend without buckets' values (open sets such as domains) still says how many there are
  for (const { value, count } of counts.values) if (!sums.has(value)) sums.set(value, count);
  const series = ranked(sums, order);
  if (series.some((one) => one.value === REST)) for (const bar of bars) fold(bar, series);
  return { series, bars, most: Math.max(0, ...bars.map(height)), hours: counts.bucket_hours * joined };
}

/** How tall a bar is: a mail with recipients in two places counts in both. */
export function height(bar: Bar): number {
  let sum = 0;
  for (const count of bar.values.values()) sum += count;
  return Math.max(sum, bar.total);
}

function ranked(sums: Map<string, number>, order: readonly string[]) {
  const all = [...sums].map(([value, count]) => ({ value, count })).toSorted((a, b) => b.count - a.count);
  const shown = all.length > SERIES_MAX ? all.slice(0, SERIES_MAX - 1) : all;
  const place = (value: string) => (order.includes(value) ? order.indexOf(value) : order.length);
  const sorted = shown.toSorted((a, b) => place(a.value) - place(b.value) || b.count - a.count);
  const rest = all.slice(shown.length).reduce((sum, one) => sum + one.count, 0);
  return rest > 0 ? [...sorted, { value: REST, count: rest }] : sorted;
}

function fold(bar: Bar, series: { value: string }[]) {
  const kept = new Set(series.map((one) => one.value));
  let rest = 0;
  for (const [value, count] of [...bar.values]) {
    if (kept.has(value)) continue;
    rest += count;
    bar.values.delete(value);
  }
  if (rest > 0) bar.values.set(REST, rest);
}

/** Round steps for the axis, at most three: 1, 2, 5 times a power of ten. */
export function axisOf(most: number): number[] {
  if (most <= 0) return [];
  const raw = most / 2;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? power * 10);
  const ticks = [];
  for (let tick = step; tick <= most; tick += step) ticks.push(tick);
  return ticks.length > 0 ? ticks : [most];
}
