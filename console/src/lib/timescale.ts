// A linear time scale whose long silent stretches are cut out and marked.

export interface Segment { from: number; to: number; x0: number; x1: number }
export interface Break { x0: number; x1: number; from: number; to: number }
export interface Scale {
  width: number;
  segments: Segment[];
  breaks: Break[];
  ticks: { at: number; x: number }[];
  x: (at: number) => number;
}

/** Width of a gap mark. */
export const BREAK_PX = 64;
/** A stretch of activity is never drawn narrower than this, so that its time can stand below it. */
const SEGMENT_MIN_PX = 84;
/** A silence is cut when it is longer than this share of the whole … */
const GAP_SHARE = 0.22;
/** … and than this. */
const GAP_MIN_MS = 30_000;
/** A lone moment gets this much time around it, so that it does not sit on the edge. */
const PAD_SHARE = 0.04;
const PAD_MIN_MS = 500;
const TICK_PX = 110;
const TICK_STEPS_MS = [
  100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
  3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000,
];

/** Cuts sorted times at long silences. */
export function cutAtGaps(times: number[]): { from: number; to: number }[] {
  const sorted = [...times].sort((a, b) => a - b);
  const first = sorted[0];
  const last = sorted[sorted.length - 1];
  if (first === undefined || last === undefined) return [];
  const gap = Math.max(GAP_MIN_MS, (last - first) * GAP_SHARE);
  const runs = [{ from: first, to: first }];
  for (const at of sorted) {
    const run = runs[runs.length - 1]!;
    if (at - run.to > gap) runs.push({ from: at, to: at });
    else run.to = at;
  }
  return runs;
}

export function timeScale(times: number[], width: number): Scale {
  const runs = cutAtGaps(times);
  if (runs.length === 0) return { width, segments: [], breaks: [], ticks: [], x: () => 0 };
  const busy = runs.reduce((sum, run) => sum + (run.to - run.from), 0);
  const pad = Math.max(PAD_MIN_MS, busy * PAD_SHARE);
  const padded = runs.map((run) => ({ from: run.from - pad, to: run.to + pad }));
  const total = padded.reduce((sum, run) => sum + (run.to - run.from), 0);
  const room = Math.max(1, width - BREAK_PX * (padded.length - 1));

  const least = padded.length > 1 ? Math.min(SEGMENT_MIN_PX, room / padded.length) : 0;
  const segments: Segment[] = [];
  const breaks: Break[] = [];
  let x = 0;
  padded.forEach((run, index) => {
    if (index > 0) {
      breaks.push({ x0: x, x1: x + BREAK_PX, from: runs[index - 1]!.to, to: runs[index]!.from });
      x += BREAK_PX;
    }
    const share = least + ((run.to - run.from) / total) * (room - least * padded.length);
    segments.push({ from: run.from, to: run.to, x0: x, x1: x + share });
    x += share;
  });

  const position = (at: number): number => {
    const inside = segments.find((segment) => at <= segment.to) ?? segments[segments.length - 1]!;
    const part = (Math.max(at, inside.from) - inside.from) / (inside.to - inside.from || 1);
    return inside.x0 + Math.min(1, part) * (inside.x1 - inside.x0);
  };
  return { width, segments, breaks, ticks: ticksOf(segments, position), x: position };
}

function ticksOf(segments: Segment[], x: (at: number) => number): { at: number; x: number }[] {
  const ticks: { at: number; x: number }[] = [];
  for (const segment of segments) {
    const perPixel = (segment.to - segment.from) / Math.max(1, segment.x1 - segment.x0);
    const step = TICK_STEPS_MS.find((candidate) => candidate >= perPixel * TICK_PX) ?? TICK_STEPS_MS[TICK_STEPS_MS.length - 1]!;
    for (let at = Math.ceil(segment.from / step) * step; at <= segment.to; at += step) {
      const place = x(at);
      // a label needs room to the edges of its segment
      if (place > segment.x0 + 24 && place < segment.x1 - 24) ticks.push({ at, x: place });
    }
    if (!ticks.some((tick) => tick.x >= segment.x0 && tick.x <= segment.x1)) {
      ticks.push({ at: (segment.from + segment.to) / 2, x: (segment.x0 + segment.x1) / 2 });
    }
  }
  return ticks;
}
