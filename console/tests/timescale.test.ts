import { expect, test } from 'vitest';
import { cluster } from '../src/incidents/timeline';
import { BREAK_PX, cutAtGaps, timeScale } from '../src/lib/timescale';

const MINUTE = 60_000;

test('long silences are cut, short ones are not', () => {
  const times = [0, MINUTE, 2 * MINUTE, 40 * MINUTE, 41 * MINUTE];
  expect(cutAtGaps(times)).toEqual([{ from: 0, to: 2 * MINUTE }, { from: 40 * MINUTE, to: 41 * MINUTE }]);
  expect(cutAtGaps([0, 10_000, 25_000])).toHaveLength(1);
  expect(cutAtGaps([])).toEqual([]);
});

test('time is linear inside a stretch and never runs backwards', () => {
  const times = [0, 1_000, 2_000, 4_000, 50 * MINUTE, 50 * MINUTE + 4_000];
  const scale = timeScale(times, 1_000);
  const at = times.map(scale.x);
  expect([...at].sort((a, b) => a - b)).toEqual(at);
  expect((at[3]! - at[2]!) / (at[1]! - at[0]!)).toBeCloseTo(2, 5);
  expect(scale.breaks).toHaveLength(1);
  expect(scale.breaks[0]!.x1 - scale.breaks[0]!.x0).toBe(BREAK_PX);
  expect(scale.breaks[0]!.to - scale.breaks[0]!.from).toBe(50 * MINUTE - 4_000);
  expect(scale.segments[0]!.x0).toBe(0);
  expect(scale.segments[scale.segments.length - 1]!.x1).toBeCloseTo(1_000, 5);
});

test('every stretch has a time below it, also a lone moment', () => {
  for (const times of [[5_000], [0, 60 * MINUTE], [0, 1, 2, 24 * 60 * MINUTE]]) {
    const scale = timeScale(times, 700);
    for (const segment of scale.segments) {
      expect(scale.ticks.some((tick) => tick.x >= segment.x0 && tick.x <= segment.x1)).toBe(true);
    }
    expect(times.every((time) => Number.isFinite(scale.x(time)))).toBe(true);
  }
});

test('markers that would cover each other become one with the worst severity', () => {
  const marker = (at: number, severity: 'low' | 'high') => ({
    at: new Date(at).toISOString(), severity, tactic: 'execution', technique: null, alert_id: String(at), title: { en: '', ja: '' }, entity: null,
  });
  const clusters = cluster([marker(10, 'low'), marker(5, 'high'), marker(100, 'low')], (at) => at);
  expect(clusters.map((one) => [one.markers.length, one.severity])).toEqual([[2, 'high'], [1, 'low']]);
});
