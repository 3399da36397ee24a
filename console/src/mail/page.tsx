// One message: where each copy is, what happened, what it carries. Nothing of it is ever rendered or followed.
import { Ban, FileArchive, FileText, Laptop, MailX, Search } from 'lucide-react';
import { useQueries } from '@tanstack/react-query';
import { Link, useParams } from '../lib/router';
import { get } from '../api/client';
import { useCan, useGet } from '../api/queries';
import type { Action, Attachment, ExplorerMessage, Listed, MessageCopy, PivotDevice } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { defanged, shortHash, to, visible } from '../lib/entity';
import { bytes } from '../lib/time';
import { useDescribe } from '../actions/describe';
import { useAsk } from '../actions/order';
import { Button, CopyButton } from '../ui/button';
import { Chip, DemoChip, VerdictChip } from '../ui/chips';
import { Card, Facts } from '../ui/field';
import { Empty, ErrorState, Skeleton, Stale } from '../ui/states';
import { Ago, Time } from '../ui/time';
import { Devices } from '../pivot/page';
import { AfterDelivery } from './after';
import { Header } from './header';
import { timelineOf, type Happening } from './timeline';
import { EngineVerdicts } from './verdicts';
import { CopyTable, moverOf, Places, placesOf } from './where';
import { useWizard } from './wizard';
import { useMailWord } from './words';
import '../styles/pages.css';
import '../styles/mail.css';

/** Actions and similar mails asked for, at most. */
const ACTIONS_MAX = 20;
const SIMILAR_MAX = 10;

export default function MessagePage() {
  const { id = '' } = useParams();
  const { t } = useT();
  const query = useGet<Listed<MessageCopy>>(`/messages/${encodeURIComponent(id)}`);
  const copies = query.data?.items;
  const crumbs = [{ label: t('nav.mail'), to: '/mail' }, { label: t('entity.message') }];
  if (!copies || (copies[0] && copies[0].message_id !== id)) {
    return <Page title={t('entity.message')} crumbs={crumbs}>{query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}</Page>;
  }
  if (copies.length === 0) return <Page title={t('entity.message')} crumbs={crumbs}><div className="card"><Empty title={t('states.notFound')} /></div></Page>;
  return (
    <>
      <Stale query={query} />
      <Body copies={copies.toSorted((a, b) => a.recipient.localeCompare(b.recipient))} since={query.dataUpdatedAt} />
    </>
  );
}

function Body({ copies, since }: { copies: MessageCopy[]; since: number }) {
  const { t, language } = useT();
  const ask = useAsk();
  const [act, wizard] = useWizard();
  const word = useMailWord();
  const may = useCan('act');
  const first = copies[0]!;
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const title = visible(first.subject) || t('mail.noSubject');
  const row: ExplorerMessage = { message: first, recipients: copies, recipient_count: copies.length };
  const sender = visible(first.sender_display_name ? `${first.sender_display_name} <${first.sender_from}>` : first.sender_from);
  return (
    <Page title={title} crumbs={[{ label: t('nav.mail'), to: '/mail' }, { label: t('entity.message') }]}
      chips={
        <>
          <VerdictChip verdict={first.verdict} />
          {first.threats.map((threat) => <Chip key={threat} tone="high">{t(`threat.${threat}`)}</Chip>)}
          <DemoChip id={first.message_id} />
          <span className="secondary">{t('mail.from', { sender })}</span>
        </>
      }
      buttons={
        <>
          <Button variant="danger" why={why} data-test="act" onClick={() => act({ filter: { conditions: [{ field: 'message', values: [first.message_id], negate: false }] }, messages: 1, known: [row], since: new Date(since).toISOString() })}>
            <MailX size={15} aria-hidden />
            {t('explorer.act')}
          </Button>
          <Button variant="danger" why={why || (!first.sender_from && t('states.notFound'))} onClick={() => ask({ spec: { kind: 'add_indicator', indicator: { kind: 'senderAddress', value: first.sender_from, action: 'block', severity: 'medium', note: title.slice(0, 200), expires_at: null } } })}>
            <Ban size={15} aria-hidden />
            {t('mail.blockSender')}
          </Button>
          <Link className="button" to={to.messagesBy('message', first.message_id)}><Search size={15} aria-hidden />{t('message.find')}</Link>
        </>
      }>
      {wizard}
      <div className="strip">
        {placesOf(copies).map(([place, count]) => <div key={place}><span className="label">{t(`location.${place}`)}</span><span className="value num">{count}</span></div>)}
        <div><span className="label">{t('columns.received')}</span><span className="value"><Time at={first.received_at} /></span></div>
        <div><span className="label">{t('mail.attachments', { count: first.attachments.length })}</span><span className="value num">{first.attachments.length}</span></div>
        <div><span className="label">{t('columns.size')}</span><span className="value num">{bytes(first.size, language)}</span></div>
      </div>
      <div className="split">
        <div className="column" style={{ gap: 16 }}>
          <Timeline copies={copies} />
          <Card flush title={`${t('message.where')} (${copies.length})`}><div className="box-scroll tall" tabIndex={0} role="region" aria-label={t('message.where')}><CopyTable recipients={copies} /></div></Card>
          <Attachments files={first.attachments} />
          <Links copy={first} why={why} title={title} />
          <TouchedBy copy={first} />
          <AfterDelivery id={first.message_id} />
          <Header id={first.message_id} recipients={copies.map((copy) => copy.recipient)} />
          <Similar copy={first} />
        </div>
        <div className="side">
          <Card title={t('mail.facts')}>
            <Facts rows={[
              [t('mail.headerFrom'), visible(first.sender_from) || '—'],
              [t('mail.displayName'), visible(first.sender_display_name) || '—'],
              [t('mail.envelopeFrom'), visible(first.sender_mail_from) || '<>'],
              first.return_path !== '' && first.return_path !== first.sender_mail_from && [t('message.returnPath'), visible(first.return_path)],
              [t('mail.senderIp'), visible(first.sender_ip) || '—'],
              ['Message-ID', <code key="m" className="wrap">{visible(first.internet_message_id) || '—'}</code>],
              [t('message.direction'), word('direction', first.direction)],
              [t('message.source'), word('source', first.source)],
              [t('message.bulk'), t(`yesNo.${first.bulk ? 'true' : 'false'}`)],
              [t('message.bodyHash'), first.body_sha256 ? <span key="b" className="row"><code>{shortHash(first.body_sha256)}</code><CopyButton text={first.body_sha256} /></span> : '—'],
            ]} />
          </Card>
          <Card title={t('message.authentication')}>
            <div className="row wrapping">{(['spf', 'dkim', 'dmarc'] as const).map((name) => <span key={name} className="row" style={{ gap: 4 }}><span className="secondary small">{name.toUpperCase()}</span><Auth result={first.auth[name]} /></span>)}</div>
          </Card>
          <Card title={t('message.findings')}>
            {first.findings.length === 0 ? <p className="secondary">{t('message.noFindings')}</p> : <ul className="column" style={{ gap: 6 }}>{first.findings.map((code) => <li key={code}><Chip tone="medium" title={code}>{word('finding', code)}</Chip></li>)}</ul>}
          </Card>
          <Card title={t('message.filters')}>
            {first.filters.length === 0 ? <p className="secondary">{t('message.noFilters')}</p> : <EngineVerdicts filters={first.filters} />}
          </Card>
        </div>
      </div>
    </Page>
  );
}

function Auth({ result }: { result: string }) {
  return <Chip tone={result === 'pass' ? 'ok' : result === 'fail' ? 'high' : ''}>{visible(result) || 'none'}</Chip>;
}

/** Actions by id; one that cannot be read is left out. */
function useActions(ids: string[]): Action[] {
  const answers = useQueries({
    queries: ids.slice(0, ACTIONS_MAX).map((id) => ({ queryKey: [`/actions/${id}`, {}], queryFn: ({ signal }: { signal: AbortSignal }) => get<Action>(`/actions/${id}`, { signal }) })),
  });
  return answers.map((answer) => answer.data).filter((action) => action !== undefined);
}

function Timeline({ copies }: { copies: MessageCopy[] }) {
  const { t } = useT();
  const movers = useActions([...new Set(copies.map(moverOf).filter((id) => id !== null))]);
  const undone = useActions([...new Set(movers.map((action) => action.undoes).filter((id) => id !== null))]);
  const happenings = timelineOf(copies, [...undone, ...movers.filter((action) => !undone.some((one) => one.id === action.id))]);
  return (
    <Card title={t('message.timeline')}>
      <ol data-test="timeline">{happenings.map((one, index) => <Line key={index} one={one} />)}</ol>
    </Card>
  );
}

function Line({ one }: { one: Happening }) {
  const { t } = useT();
  const describe = useDescribe();
  const mailboxes = 'count' in one && one.count > 1 ? <span className="secondary"> {t('message.in', { count: one.count })}</span> : null;
  const what = () => {
    switch (one.kind) {
      case 'received':
      case 'known':
        return <>{t(`message.events.${one.kind}`)}{one.ip ? <span className="secondary"> {t('message.fromIp', { ip: visible(one.ip) })}</span> : null}</>;
      case 'delivered':
        return <>{t('message.events.delivered', { place: t(`location.${one.place}`) })}{mailboxes}</>;
      case 'movedOwner':
        return <>{t('message.events.movedOwner', { place: t(`location.${one.place}`) })}{mailboxes}</>;
      case 'movedAction':
        return <>{t('message.events.movedAction', { place: t(`location.${one.place}`) })}{mailboxes}{one.action ? <> <Link to={to.action(one.action)}>{t('removal.open')}</Link></> : null}</>;
      default:
        return <>{t(`message.events.${one.kind}`, { what: describe(one.action.spec).title })} <span className="secondary">{t('actions.by', { who: one.who })}</span>{one.kind === 'ordered' ? <> <Link to={to.action(one.action.id)}>{t('removal.open')}</Link></> : null}</>;
    }
  };
  return (
    <li className="activity">
      <span className={`dot ${one.kind.startsWith('moved') || one.kind === 'ordered' ? 'comment' : ''}`} />
      <div><div>{what()}</div><div className="small secondary"><Time at={one.at} /></div></div>
    </li>
  );
}

function Attachments({ files }: { files: Attachment[] }) {
  const { t, language } = useT();
  return (
    <Card flush title={t('mail.attachments', { count: files.length })}>
      {files.length === 0 ? <Empty title={t('mail.noAttachments')} /> : (
        <div className="table-scroll">
          <table className="plain">
            <thead><tr><th>{t('columns.name')}</th><th>{t('columns.type')}</th><th>{t('columns.size')}</th><th>SHA-256</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
            <tbody>
              {files.map((file, index) => (
                <tr key={index}>
                  <td>
                    <span className="row" style={{ paddingLeft: depth(file, files) * 20 }}>
                      {files.some((other) => other.parent_sha256 === file.sha256) ? <FileArchive size={15} aria-hidden /> : <FileText size={15} aria-hidden />}
                      <span className="wrap">{visible(file.name)}</span>
                    </span>
                    {file.uninspected ? <div className="small"><Chip tone="medium">{t('mail.uninspected')}</Chip> <span className="secondary">{visible(file.uninspected.text[language])}</span></div> : null}
                  </td>
                  <td className="secondary">{visible(file.file_type)}</td>
                  <td className="num">{bytes(file.size, language)}</td>
                  <td><Link className="mono" to={to.file(file.sha256)}>{shortHash(file.sha256)}</Link></td>
                  <td style={{ textAlign: 'right' }}><Link className="small" to={to.messagesBy('attachment_sha256', file.sha256)}>{t('message.findHash')}</Link></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function Links({ copy, why, title }: { copy: MessageCopy; why: string | false; title: string }) {
  const { t } = useT();
  const ask = useAsk();
  return (
    <Card flush title={t('mail.links', { count: copy.urls.length })} head={copy.urls.length > 0 ? <span className="small secondary">{t('message.textOnly')}</span> : null}>
      {copy.urls.length === 0 ? <Empty title={t('mail.noLinks')} /> : (
        <div className="table-scroll">
          <table className="plain">
            <thead><tr><th>URL</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
            <tbody>
              {copy.urls.map((url) => (
                <tr key={url}>
                  <td className="mono wrap" data-test="url">{defanged(url)}</td>
                  <td><span className="row" style={{ justifyContent: 'flex-end' }}><CopyButton text={url} /><Button compact why={why} onClick={() => ask({ spec: { kind: 'add_indicator', indicator: { kind: 'url', value: url, action: 'block', severity: 'medium', note: title.slice(0, 200), expires_at: null } } })}>{t('mail.blockUrl')}</Button></span></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

/** Devices that had a file of the message, with what happened to it there. */
function TouchedBy({ copy }: { copy: MessageCopy }) {
  const { t } = useT();
  const query = useGet<Listed<PivotDevice>>(copy.attachments.length > 0 ? `/messages/${encodeURIComponent(copy.message_id)}/devices` : null);
  if (copy.attachments.length === 0) return null;
  if (!query.data) return <Card title={t('message.devices')} icon={<Laptop size={16} aria-hidden />}>{query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={2} />}</Card>;
  return <Devices devices={query.data.items} title={t('message.devices')} />;
}

function Similar({ copy }: { copy: MessageCopy }) {
  const { t } = useT();
  const similar = useGet<Listed<ExplorerMessage>>(copy.campaign ? '/mail/explorer' : null, { campaign: copy.campaign, 'not.message': copy.message_id, limit: SIMILAR_MAX });
  const items = similar.data?.items ?? [];
  return (
    <Card flush title={t('message.similar')} head={copy.campaign ? <Link className="small" to={to.messagesBy('campaign', copy.campaign)}>{t('message.similarAll')}</Link> : null}>
      {items.length === 0 ? <Empty title={t('message.noSimilar')} /> : (
        <div className="table-scroll">
          <table className="plain">
            <thead><tr><th>{t('columns.subject')}</th><th>{t('columns.sender')}</th><th>{t('explorer.recipients')}</th><th>{t('columns.now')}</th><th>{t('columns.time')}</th></tr></thead>
            <tbody>
              {items.map((one) => (
                <tr key={one.message.message_id}>
                  <td><Link to={to.message(one.message.message_id)}>{visible(one.message.subject) || t('mail.noSubject')}</Link></td>
                  <td className="secondary wrap">{visible(one.message.sender_from)}</td>
                  <td className="num">{one.recipient_count}</td>
                  <td><Places recipients={one.recipients} /></td>
                  <td className="secondary"><Ago at={one.message.received_at} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function depth(file: Attachment, all: Attachment[]): number {
  let levels = 0;
  for (let parent = file.parent_sha256; parent && levels < 8; levels += 1) {
    parent = all.find((other) => other.sha256 === parent)?.parent_sha256 ?? null;
  }
  return levels;
}
