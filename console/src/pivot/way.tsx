// From "arrived" over "saved by mail client" to "executed", as one line of time.
import { Archive, Ban, Download, Eye, FileX, FolderInput, Globe, Inbox, Mail, MailX, Network, Play, Save, Send, ShieldCheck, type LucideIcon } from 'lucide-react';
import { Fragment, useMemo } from 'react';
import { Link } from '../lib/router';
import type { PivotStage, PivotStep } from '../api/types';
import { useT } from '../i18n';
import { parseEntity, shortHash, to, visible } from '../lib/entity';
import { duration, ms } from '../lib/time';
import { EntityLink } from '../ui/entity';
import { Empty } from '../ui/states';
import { Time } from '../ui/time';
import { actionOf, stopsOf, type Stop } from './stops';

/** A pause as long as this is said. */
const GAP_MS = 60_000;
const ICONS: Record<PivotStage, LucideIcon> = {
  arrived: Mail, sent: Send, refused: Ban, delivered: Inbox, junked: Inbox, quarantined: ShieldCheck, savedByMailClient: Save, savedByBrowser: Globe,
  unpacked: Archive, saved: Download, seen: Eye, executed: Play, connected: Network, blocked: Ban, deleted: FileX, moved: FolderInput, removed: MailX,
};
export const STAGE_TONES: Partial<Record<PivotStage, 'high' | 'medium' | 'ok' | 'accent'>> = {
  arrived: 'accent', sent: 'accent', refused: 'ok', quarantined: 'ok', savedByMailClient: 'medium', savedByBrowser: 'medium', unpacked: 'medium', saved: 'medium',
  executed: 'high', connected: 'high', blocked: 'ok', removed: 'ok', deleted: 'ok',
};

export function Way({ steps, asked }: { steps: readonly PivotStep[]; asked: string | null }) {
  const { t, language } = useT();
  const stops = useMemo(() => stopsOf(steps), [steps]);
  if (stops.length === 0) return <Empty title={t('pivot.nothingHappened')} />;
  return (
    <ol className="way" data-test="way">
      {stops.map((stop, index) => {
        const gap = index === 0 ? 0 : ms(stop.at) - ms(stops[index - 1]!.at);
        return (
          <Fragment key={index}>
            {gap >= GAP_MS ? <li className="gap small secondary" aria-hidden>{t('joined.gap', { time: duration(gap, language) })}</li> : null}
            <StopLine stop={stop} asked={asked} />
          </Fragment>
        );
      })}
    </ol>
  );
}

function StopLine({ stop, asked }: { stop: Stop; asked: string | null }) {
  const { t } = useT();
  const Icon = ICONS[stop.stage];
  const mail = stop.message !== '';
  const action = actionOf(stop.by);
  const head = t(`stage.${stop.stage}`);
  const other = !mail && stop.value !== asked ? parseEntity(stop.value) : null;
  return (
    <li className="stop" data-kind={stop.stage}>
      <span className={`icon ${STAGE_TONES[stop.stage] ?? ''}`}><Icon size={15} aria-hidden /></span>
      <div className="column" style={{ gap: 2 }}>
        <span className="row wrapping">
          <span className="strong">{head}</span>
          {mail ? <span className="secondary" title={stop.places.slice(0, 20).map(visible).join(', ')}>{stop.places.length === 1 ? visible(stop.places[0]!) : t('pivot.mailboxes', { count: stop.places.length })}</span> : <EntityLink entity={stop.entity} name={stop.places[0]} />}
        </span>
        {mail ? (
          <span className="wrap"><Link to={action ? to.action(action) : to.message(stop.message)}>{action ? t('removal.open') : visible(stop.detail) || t('mail.noSubject')}</Link></span>
        ) : <span className="mono wrap">{visible(stop.detail)}</span>}
        <span className="small secondary row wrapping">
          <Time at={stop.at} />
          {stop.by && !action ? <span>· {stop.by === 'owner' ? t('pivot.byOwner') : visible(stop.by)}</span> : null}
          {other?.kind === 'file' ? <Link className="mono" to={to.file(other.value)}>{shortHash(other.value)}</Link> : null}
        </span>
      </div>
    </li>
  );
}
