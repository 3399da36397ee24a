import { Ban, Download, Eye, Mail, MailX, Play, Route, Save, type LucideIcon } from 'lucide-react';
import { useQueries } from '@tanstack/react-query';
import { Link } from 'react-router';
import { get } from '../api/client';
import type { EventRow, FilePage, Listed } from '../api/types';
import { useT } from '../i18n';
import { parseEntity, to, visible } from '../lib/entity';
import { duration, ms } from '../lib/time';
import { useDeviceNames } from '../devices/names';
import { EntityLink } from '../ui/entity';
import { Card } from '../ui/field';
import { Empty } from '../ui/states';
import { Time } from '../ui/time';
import { joinedOf, type Stop } from './joined';

/** Devices whose events are looked at. */
const DEVICES_MAX = 5;
const AROUND_MS = 300_000;
/** A pause as long as this is said. */
const GAP_MS = 60_000;
const ICONS: Record<Stop['kind'], LucideIcon> = { arrived: Mail, removed: MailX, seen: Eye, saved: Save, written: Download, executed: Play, blocked: Ban, other: Eye };
const TONES: Partial<Record<Stop['kind'], string>> = { arrived: 'accent', executed: 'high', blocked: 'ok', removed: 'ok', saved: 'medium', written: 'medium' };

/** From "arrived" over "saved by mail client" to "executed", as one line of time. */
export function Way({ file }: { file: FilePage }) {
  const { t } = useT();
  const devices = file.devices.slice(0, DEVICES_MAX);
  const answers = useQueries({
    queries: devices.map((sighting) => {
      const device = parseEntity(sighting.entity).value;
      const query = {
        from: new Date(ms(sighting.first_seen) - AROUND_MS).toISOString(), to: new Date(ms(sighting.last_seen) + AROUND_MS).toISOString(),
        text: sighting.name.split('/').at(-1) ?? sighting.name, limit: 200,
      };
      return {
        queryKey: [`/devices/${device}/events`, query],
        queryFn: ({ signal }: { signal: AbortSignal }) => get<Listed<EventRow>>(`/devices/${device}/events`, { query, signal }),
      };
    }),
  });
  const events = new Map(devices.map((sighting, index) => [parseEntity(sighting.entity).value, answers[index]?.data?.items ?? []]));
  const stops = joinedOf(file, events);
  return (
    <Card title={t('joined.title')} icon={<Route size={16} aria-hidden />}>
      {stops.length === 0 ? <Empty title={t('joined.none')} /> : (
        <ol className="way" data-test="way">
          {stops.map((stop, index) => {
            const gap = index === 0 ? 0 : ms(stop.at) - ms(stops[index - 1]!.at);
            return <StopLine key={index} stop={stop} gap={gap >= GAP_MS ? gap : 0} />;
          })}
        </ol>
      )}
      {file.device_count > DEVICES_MAX ? <p className="small secondary">{t('joined.partly', { count: DEVICES_MAX })}</p> : null}
    </Card>
  );
}

function StopLine({ stop, gap }: { stop: Stop; gap: number }) {
  const { t, language } = useT();
  const names = useDeviceNames();
  const Icon = ICONS[stop.kind];
  const head = 'program' in stop && (stop.kind === 'saved' || stop.kind === 'written') ? t(`joined.${stop.kind}`, { program: visible(stop.program) || '—' }) : t(`joined.${stop.kind}`);
  return (
    <>
      {gap ? <li className="gap small secondary" aria-hidden>{t('joined.gap', { time: duration(gap, language) })}</li> : null}
      <li className="stop" data-kind={stop.kind}>
        <span className={`icon ${TONES[stop.kind] ?? ''}`}><Icon size={15} aria-hidden /></span>
        <div className="column" style={{ gap: 2 }}>
          <span className="row wrapping">
            <span className="strong">{head}</span>
            {'device' in stop ? <EntityLink entity={`device:${stop.device}`} name={names(stop.device)} /> : null}
          </span>
          {'copy' in stop ? (
            <span className="wrap">
              <Link to={stop.kind === 'removed' ? to.action(stop.by) : to.message(stop.copy.message_id)}>
                {stop.kind === 'removed' ? t('joined.removedDetail', { count: stop.count, place: t(`location.${stop.copy.latest_location}`) }) : t('joined.arrivedDetail', { subject: visible(stop.copy.subject) || t('mail.noSubject'), count: stop.count })}
              </Link>
            </span>
          ) : (
            <span className="mono wrap">{visible('command' in stop && stop.command ? stop.command : stop.path)}</span>
          )}
          <span className="small secondary"><Time at={stop.at} />{'user' in stop && stop.user ? ` · ${visible(stop.user)}` : ''}</span>
        </div>
      </li>
    </>
  );
}
