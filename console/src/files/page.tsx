import { Ban, Laptop, Mail, MailX, RefreshCw, Route, ShieldCheck } from 'lucide-react';
import { useMemo } from 'react';
import { Link, useParams } from '../lib/router';
import { useQuery } from '@tanstack/react-query';
import { ApiError, get } from '../api/client';
import { useCan, useGet } from '../api/queries';
import type { FileMailboxes, FilePage as File, MailboxCopy, MessageCopy, Pivot } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { parseEntity, shortHash, to, visible } from '../lib/entity';
import { bytes, clock } from '../lib/time';
import { useAsk } from '../actions/order';
import { useDeviceNames } from '../devices/names';
import { Button, CopyButton } from '../ui/button';
import { AlertStatusChip, Chip, LocationChip, SeverityChip, VerdictChip } from '../ui/chips';
import { EntityLink } from '../ui/entity';
import { Card } from '../ui/field';
import { Empty, ErrorState, Loaded, Skeleton, Stale } from '../ui/states';
import { Ago, Time } from '../ui/time';
import { useWizard } from '../mail/wizard';
import { Way } from '../pivot/way';
import '../styles/pages.css';
import '../styles/mail.css';

/** The server counts no further. */
const COUNTED_MAX = 10_000;

export default function FilePage() {
  const { sha256 = '' } = useParams();
  const { t } = useT();
  const query = useGet<File>(`/files/${encodeURIComponent(sha256)}`);
  if (!query.data || query.data.sha256 !== sha256.toLowerCase()) {
    return (
      <Page title={t('entity.file')}>
        {query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}
      </Page>
    );
  }
  return (
    <>
      <Stale query={query} />
      <Body file={query.data} />
    </>
  );
}

/** The pivot: which devices saw it, which messages carried it, which mailboxes hold it now. */
function Body({ file }: { file: File }) {
  const { t, text, language } = useT();
  const ask = useAsk();
  const [act, wizard] = useWizard();
  const may = useCan('act');
  const names = useDeviceNames();
  const live = useQuery<FileMailboxes, ApiError>({
    queryKey: [`/files/${file.sha256}/mailboxes`, {}],
    queryFn: ({ signal }) => get<FileMailboxes>(`/files/${file.sha256}/mailboxes`, { signal }),
    staleTime: 10_000,
  });
  const more = (count: number) => (!file.counts_exact && count >= COUNTED_MAX ? '+' : '');
  const pivot = useGet<Pivot>('/pivot', { value: file.sha256, type: 'sha256' });
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const blocked = file.indicator?.spec.action === 'block';
  const present = useMemo(() => {
    const copies = live.data
      ? live.data.copies.filter((copy) => copy.state === 'present').map((copy) => copy.copy)
      : file.messages.filter((copy) => ['inbox', 'junkFolder', 'deletedItems'].includes(copy.latest_location)).map((copy) => ({ message_id: copy.message_id, recipient: copy.recipient }));
    return copies;
  }, [live.data, file.messages]);
  const title = visible(file.names[0] ?? shortHash(file.sha256));
  return (
    <Page title={title}
      chips={
        <>
          <Chip tone="outline">{t('entity.file')}</Chip>
          <VerdictChip verdict={file.verdict} />
          {file.indicator ? <Chip tone={blocked ? 'high' : 'ok'}>{blocked ? <Ban size={13} aria-hidden /> : <ShieldCheck size={13} aria-hidden />}{t(`indicatorState.${file.indicator.spec.action}`)}</Chip> : null}
        </>
      }
      subtitle={<span className="row wrapping"><code className="wrap">{file.sha256}</code><CopyButton text={file.sha256} />{file.names.length > 1 ? <span>{t('file.alsoNamed', { names: file.names.slice(1, 5).map(visible).join(', ') })}</span> : null}</span>}
      buttons={
        <>
          {blocked && file.indicator ? (
            <Button why={why} onClick={() => file.indicator && ask({ spec: { kind: 'remove_indicator', indicator_id: file.indicator.id } })}>{t('file.unblock')}</Button>
          ) : (
            <Button variant="danger" why={why} data-test="block" onClick={() => ask({ spec: { kind: 'add_indicator', indicator: { kind: 'fileSha256', value: file.sha256, action: 'block', severity: 'high', note: title, expires_at: null } } })}>
              <Ban size={15} aria-hidden />
              {t('file.block')}
            </Button>
          )}
          <Button variant="danger" why={why || (present.length === 0 && t('file.noneToRemove'))} data-test="remove"
            onClick={() => act({ filter: { conditions: [{ field: 'attachment_sha256', values: [file.sha256], negate: false }] }, messages: new Set(present.map((copy) => copy.message_id)).size, all: true, known: [] })}>
            <MailX size={15} aria-hidden />
            {t('file.removeMail', { count: present.length })}
          </Button>
        </>
      }>
      {wizard}
      <div className="strip">
        <div><span className="label">{t('file.devices')}</span><span className="value num">{file.device_count}{more(file.device_count)}</span></div>
        <div><span className="label">{t('file.messages')}</span><span className="value num">{file.message_count}{more(file.message_count)}</span></div>
        <div><span className="label">{t('file.mailboxesNow')}</span><span className="value num">{live.data ? present.length : '…'}</span></div>
        <div><span className="label">{t('columns.firstSeen')}</span><span className="value">{file.first_seen ? <Time at={file.first_seen} /> : '—'}</span></div>
        <div><span className="label">{t('columns.lastSeen')}</span><span className="value">{file.last_seen ? <Ago at={file.last_seen} /> : '—'}</span></div>
      </div>
      <Card title={t('joined.title')} icon={<Route size={16} aria-hidden />} head={<Link className="small" to={to.pivot(file.sha256)}>{t('pivot.openPivot')}</Link>}>
        <Loaded query={pivot} rows={4}>{(found) => (
          <>
            <Way steps={found.steps} asked={found.entity} />
            {found.truncated.includes('steps') ? <p className="small secondary">{t('pivot.partly', { count: found.steps.length })}</p> : null}
          </>
        )}</Loaded>
      </Card>
      <div className="columns">
        <Card flush title={t('file.devices')} icon={<Laptop size={16} aria-hidden />}>
          {file.devices.length === 0 ? <Empty title={t('file.noDevices')} /> : (
            <div className="table-scroll">
              <table className="plain">
                <thead><tr><th>{t('columns.device')}</th><th>{t('columns.path')}</th><th>{t('columns.count')}</th><th>{t('columns.lastSeen')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
                <tbody>
                  {file.devices.map((sighting) => {
                    const { value } = parseEntity(sighting.entity);
                    return (
                      <tr key={sighting.entity}>
                        <td><EntityLink entity={sighting.entity} name={names(value)} /></td>
                        <td className="mono wrap">{visible(sighting.name)}</td>
                        <td className="num">{sighting.count}</td>
                        <td className="secondary"><Ago at={sighting.last_seen} /></td>
                        <td><Button compact why={why} onClick={() => ask({ spec: { kind: 'quarantine_file', device_id: value, sha256: file.sha256, paths: sighting.name.startsWith('/') ? [sighting.name] : [] } })}>{t('file.quarantine')}</Button></td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          )}
        </Card>
        <Card flush title={t('nav.alerts')}>
          {file.alerts.length === 0 ? <Empty title={t('alert.none')} /> : (
            <ul>{file.alerts.map((alert) => (
              <li key={alert.id}><Link to={to.alert(alert.id)} className="need"><SeverityChip severity={alert.severity} /><span className="grow truncate">{visible(text(alert.title))}</span><AlertStatusChip status={alert.status} /></Link></li>
            ))}</ul>
          )}
        </Card>
      </div>
      <Card flush title={t('file.messages')} icon={<Mail size={16} aria-hidden />} head={
        <span className="row wrapping small secondary">
          {live.data ? t('file.checked', { at: clock(Date.parse(live.data.checked_at), language) }) : live.isFetching ? t('file.checking') : null}
          <Button compact busy={live.isFetching} onClick={() => void live.refetch()}><RefreshCw size={14} className={live.isFetching ? 'spin' : ''} aria-hidden />{t('file.checkNow')}</Button>
        </span>
      }>
        {live.error ? <div className="banner" style={{ borderRadius: 0 }}><span className="grow"><LiveError error={live.error} /></span></div> : null}
        {file.messages.length === 0 ? <Empty title={t('file.noMessages')} /> : <Messages file={file} live={live.data} checking={live.isFetching} />}
      </Card>
    </Page>
  );
}

function LiveError({ error }: { error: ApiError }) {
  const { t, language } = useT();
  return <>{t('file.checkFailed')} {error.text(language)}</>;
}

function Messages({ file, live, checking }: { file: File; live: FileMailboxes | undefined; checking: boolean }) {
  const { t, language } = useT();
  const states = new Map(live?.copies.map((copy) => [`${copy.copy.message_id}/${copy.copy.recipient}`, copy]));
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.subject')}</th><th>{t('columns.sender')}</th><th>{t('columns.carriedAs')}</th><th>{t('columns.known')}</th><th>{t('columns.nowLive')}</th><th>{t('columns.time')}</th></tr></thead>
        <tbody>
          {file.messages.map((copy) => {
            const carried = carriedAs(copy, file.sha256);
            return (
              <tr key={copy.message_id + copy.recipient} data-test="file-copy">
                <td><EntityLink entity={`mailbox:${copy.recipient}`} /></td>
                <td style={{ minWidth: 160 }}><Link to={to.message(copy.message_id)}>{visible(copy.subject) || t('mail.noSubject')}</Link></td>
                <td className="secondary">{visible(copy.sender_from)}</td>
                <td className="wrap">{carried ? <>{visible(carried.path)} <span className="secondary small">{bytes(carried.size, language)}</span></> : '—'}</td>
                <td><LocationChip location={copy.latest_location} /></td>
                <td><LiveState copy={states.get(`${copy.message_id}/${copy.recipient}`)} checking={checking} /></td>
                <td className="secondary"><Ago at={copy.received_at} /></td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function LiveState({ copy, checking }: { copy: MailboxCopy | undefined; checking: boolean }) {
  const { t } = useT();
  if (!copy) return <span className="secondary">{checking ? t('file.checking') : '—'}</span>;
  const tone = { present: 'medium', removed: 'ok', not_found: '', failed: 'high' } as const;
  return (
    <span>
      <Chip tone={tone[copy.state]} title={visible(copy.detail)}>{t(`copyState.${copy.state}`)}</Chip>
      {copy.folder ? <span className="small secondary"> {visible(copy.folder)}</span> : null}
      {copy.state === 'failed' ? <div className="small secondary wrap">{visible(copy.detail)}</div> : null}
    </span>
  );
}

/** The file's name in a message, below the archives it lies in: `invoice.zip › invoice.sh`. */
export function carriedAs(copy: MessageCopy, sha256: string): { path: string; size: number } | null {
  const found = copy.attachments.find((attachment) => attachment.sha256 === sha256);
  if (!found) return null;
  const names = [found.name];
  const seen = new Set([found.sha256]);
  let parent = found.parent_sha256;
  while (parent && !seen.has(parent)) {
    seen.add(parent);
    const outer = copy.attachments.find((attachment) => attachment.sha256 === parent);
    if (!outer) break;
    names.unshift(outer.name);
    parent = outer.parent_sha256;
  }
  return { path: names.join(' › '), size: found.size };
}
