// Dates, numbers and durations, by Intl only. Storage is UTC, shown in the viewer's zone.
import type { Language, Timestamp } from '../api/types';

const cache = new Map<string, Intl.DateTimeFormat>();

function formatter(language: Language, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language + JSON.stringify(options);
  let found = cache.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(language === 'ja' ? 'ja-JP' : 'en-GB', { hourCycle: 'h23', ...options });
    cache.set(key, found);
  }
  return found;
}

export const ms = (at: Timestamp): number => Date.parse(at);

export function dateTime(at: Timestamp, language: Language): string {
  return formatter(language, {
    year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
  }).format(ms(at));
}

export function clock(at: number, language: Language, seconds = true): string {
  return formatter(language, { hour: '2-digit', minute: '2-digit', second: seconds ? '2-digit' : undefined }).format(at);
}

export function clockMillis(at: Timestamp, language: Language): string {
  return formatter(language, {
    hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3,
  }).format(ms(at));
}

export function day(at: Timestamp, language: Language): string {
  return formatter(language, { month: 'short', day: 'numeric' }).format(ms(at));
}

/** Zone and UTC, for the hover text of every shown time. */
export function fullTime(at: Timestamp, language: Language): string {
  const local = formatter(language, {
    year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
    timeZoneName: 'short',
  }).format(ms(at));
  return `${local}\n${at}`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400], ['hour', 3_600], ['minute', 60], ['second', 1],
];

export function ago(at: Timestamp, now: number, language: Language): string {
  const seconds = Math.round((ms(at) - now) / 1000);
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(0, 'second');
}

export function duration(milliseconds: number, language: Language): string {
  const value = Math.max(0, milliseconds);
  const unit = (name: string, number: number, digits = 0) =>
    new Intl.NumberFormat(language, { style: 'unit', unit: name, unitDisplay: 'short', maximumFractionDigits: digits }).format(number);
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  if (value < 1_000) return unit('millisecond', Math.round(value));
  if (value < 60_000) return unit('second', value / 1_000, 1);
  if (value < 3_600_000) return `${unit('minute', Math.floor(value / 60_000))} ${unit('second', Math.floor((value % 60_000) / 1000))}`;
  if (value < 86_400_000) return `${unit('hour', Math.floor(value / 3_600_000))} ${unit('minute', Math.floor((value % 3_600_000) / 60_000))}`;
  return `${unit('day', Math.floor(value / 86_400_000))} ${unit('hour', Math.floor((value % 86_400_000) / 3_600_000))}`;
}

export function number(value: number, language: Language): string {
  return new Intl.NumberFormat(language).format(value);
}

export function bytes(value: number, language: Language): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let step = 0;
  let size = value;
  while (size >= 1000 && step < units.length - 1) {
    size /= 1000;
    step += 1;
  }
  return new Intl.NumberFormat(language, {
    style: 'unit', unit: units[step], unitDisplay: step === 0 ? 'long' : 'short', maximumFractionDigits: size < 10 && step > 0 ? 1 : 0,
  }).format(size);
}
