// What an action on mail would touch, asked live in every mailbox.
import { AlertTriangle, Loader, RefreshCw } from 'lucide-react';
import type { UseMutationResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import type { ApiError } from '../api/client';
import { deliveryLocations, type DeliveryLocation, type DryRun, type DryRunMailbox, type DryRunResult } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { clock, number } from '../lib/time';
import { Button } from '../ui/button';
import { Chip, LocationChip } from '../ui/chips';
import { Empty, ErrorState } from '../ui/states';
import { Ago } from '../ui/time';
import { useMailWord } from './words';

const SHOWN_MAX = 200;

/** `confirm` stands with the warnings, when there are any. */
export function DryRunView({ run, retry, confirm }: { run: UseMutationResult<DryRunResult, ApiError, DryRun>; retry: () => void; confirm: ReactNode }) {
  const { t, language } = useT();
  const word = useMailWord();
  const data = run.data;
  if (run.error) return <ErrorState error={run.error} retry={retry} />;
  if (!data) return <div className="state" role="status"><Loader size={28} className="spin" aria-hidden /><p>{t('wizard.asking')}</p></div>;
  return (
    <div className="column" data-test="dry-run">
      <div className="spread small secondary">
        <span>{t('wizard.askedAt', { at: clock(Date.parse(data.checked_at), language) })}</span>
        <Button compact busy={run.isPending} onClick={retry}><RefreshCw size={14} className={run.isPending ? 'spin' : ''} aria-hidden />{t('wizard.askAgain')}</Button>
      </div>
      <div className="strip">
        <Figure label={t('wizard.present')} value={number(data.present, language)} test="dry-present" />
        <Figure label={t('wizard.copies')} value={number(data.copies, language)} />
        <Figure label={t('wizard.messages')} value={number(data.messages, language)} />
        <Figure label={t('wizard.mailboxes')} value={number(data.mailboxes.length, language)} />
        <Figure label={t('wizard.appeared')} value={data.appeared_since > 0 ? `+${number(data.appeared_since, language)}` : t('wizard.appearedNone')} attention={data.appeared_since > 0} />
      </div>
      {data.asked < data.copies ? <p className="small secondary">{t('wizard.askedPart', { asked: number(data.asked, language), copies: number(data.copies, language) })}</p> : null}
      {data.locations.length > 0 ? (
        <div className="row wrapping"><span className="small secondary">{t('wizard.locations')}</span>{data.locations.map(({ value, count }) => (
          <span key={value} className="row" style={{ gap: 4 }}>{isLocation(value) ? <LocationChip location={value} /> : <Chip>{word('location', value)}</Chip>}<span className="num">{number(count, language)}</span></span>
        ))}</div>
      ) : null}
      {data.needs_person.length > 0 ? (
        <div className="banner" data-test="warnings">
          <AlertTriangle size={16} aria-hidden />
          <div className="grow"><p className="strong">{t('wizard.warn')}</p><ul>{data.needs_person.map((one) => <li key={one}>{t(`needsPerson.${one}`)}</li>)}</ul>{confirm}</div>
        </div>
      ) : null}
      {data.present === 0 ? <Empty title={t('wizard.nothing')}>{t('wizard.nothingHint')}</Empty> : null}
      <Mailboxes mailboxes={data.mailboxes} />
      {data.differing.length > 0 ? (
        <section data-test="differing">
          <h3>{t('wizard.differing')}</h3>
          <p className="small secondary">{t('wizard.differingHint')}</p>
          <div className="box-scroll" tabIndex={0} role="region" aria-label={t('wizard.differing')}>
            <table className="plain">
              <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.path')}</th><th>{t('wizard.difference')}</th></tr></thead>
              <tbody>{data.differing.slice(0, SHOWN_MAX).map((one, index) => <tr key={index}><td className="wrap">{visible(one.recipient)}</td><td>{visible(one.folder)}</td><td className="wrap">{visible(one.difference)}</td></tr>)}</tbody>
            </table>
          </div>
        </section>
      ) : null}
      {data.related.length > 0 ? (
        <section data-test="related-copies">
          <h3>{t('wizard.relatedCopies')}</h3>
          <p className="small secondary">{t('wizard.relatedHint')}</p>
          <div className="box-scroll" tabIndex={0} role="region" aria-label={t('wizard.relatedCopies')}>
            <table className="plain">
              <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.path')}</th><th>{t('wizard.relatedBy')}</th></tr></thead>
              <tbody>{data.related.slice(0, SHOWN_MAX).map((one, index) => <tr key={index}><td className="wrap">{visible(one.copy.recipient)}</td><td className="wrap">{visible(one.error ?? (one.folders.join(', ') || '—'))}</td><td className="wrap">{t(`relatedBy.${one.by}`)} · {visible(one.sender)}: {visible(one.subject)}</td></tr>)}</tbody>
            </table>
          </div>
        </section>
      ) : null}
      {data.sample.length > 0 ? (
        <section>
          <h3>{t('wizard.sample')}</h3>
          <ul className="sample">{data.sample.map(({ message, recipient_count }) => (
            <li key={message.message_id}><span className="strong truncate">{visible(message.subject) || t('mail.noSubject')}</span><span className="secondary truncate">{visible(message.sender_from)}</span><span className="secondary num">{t('explorer.groupRecipients', { count: recipient_count })}</span><span className="secondary"><Ago at={message.received_at} /></span></li>
          ))}</ul>
        </section>
      ) : null}
    </div>
  );
}

function Figure({ label, value, attention, test }: { label: string; value: string; attention?: boolean; test?: string }) {
  return <div><span className="label">{label}</span><span className="value num" data-test={test} style={attention ? { color: 'var(--medium)' } : undefined}>{value}</span></div>;
}

function Mailboxes({ mailboxes }: { mailboxes: DryRunMailbox[] }) {
  const { t, language } = useT();
  return (
    <section>
      <h3>{t('wizard.mailboxes')}</h3>
      <div className="box-scroll" tabIndex={0} role="region" aria-label={t('wizard.mailboxes')}>
        <table className="plain">
          <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.nowLive')}</th></tr></thead>
          <tbody>
            {mailboxes.slice(0, SHOWN_MAX).map((one) => (
              <tr key={one.recipient} data-test="dry-mailbox">
                <td><span className="row wrapping"><span className="wrap">{visible(one.recipient)}</span>{one.protected ? <Chip tone="medium">{t('wizard.protected')}</Chip> : null}{one.shared ? <Chip tone="low">{t('wizard.shared')}</Chip> : null}</span></td>
                <td>
                  <span className="row wrapping">
                    {one.places.map((place) => <span key={place.folder} className="row" style={{ gap: 4 }}><LocationChip location={place.location} /><span className="small secondary truncate" style={{ maxWidth: 160 }}>{visible(place.folder)}</span><span className="num">{number(place.mails, language)}</span></span>)}
                    {one.absent > 0 ? <span className="small secondary">{t('wizard.absent', { count: one.absent })}</span> : null}
                    {one.error ? <><Chip tone="high">{t('wizard.notAsked')}</Chip><span className="small secondary wrap">{visible(one.error)}</span></> : null}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const isLocation = (value: string): value is DeliveryLocation => (deliveryLocations as readonly string[]).includes(value);
