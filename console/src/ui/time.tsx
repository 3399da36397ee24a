import type { Timestamp } from '../api/types';
import { useNow, useT } from '../i18n';
import { ago, clockMillis, dateTime, fullTime } from '../lib/time';

export function Time({ at }: { at: Timestamp }) {
  const { language } = useT();
  return (
    <time dateTime={at} title={fullTime(at, language)}>
      {dateTime(at, language)}
    </time>
  );
}

export function Clock({ at }: { at: Timestamp }) {
  const { language } = useT();
  return (
    <time dateTime={at} title={fullTime(at, language)}>
      {clockMillis(at, language)}
    </time>
  );
}

export function Ago({ at }: { at: Timestamp }) {
  const { language } = useT();
  const now = useNow();
  return (
    <time dateTime={at} title={fullTime(at, language)}>
      {ago(at, now, language)}
    </time>
  );
}
