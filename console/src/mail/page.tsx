import { Ban, FileArchive, FileText, MailX } from 'lucide-react';
import { Link, useParams } from 'react-router';
import { useCan, useGet } from '../api/queries';
import type { Attachment, Listed, MessageCopy } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { shortHash, to, visible } from '../lib/entity';
import { bytes } from '../lib/time';
import { useAsk } from '../actions/order';
import { Button } from '../ui/button';
import { Chip, LocationChip, VerdictChip } from '../ui/chips';
import { EntityLink } from '../ui/entity';
import { Card, Facts } from '../ui/field';
import { Empty, ErrorState, Skeleton, Stale } from '../ui/states';
import { Time } from '../ui/time';
import '../styles/pages.css';

const REMOVABLE = ['inbox', 'junkFolder', 'deletedItems', 'unknown'];

export default function MessagePage() {
  const { id = '' } = useParams();
  const { t } = useT();
  const query = useGet<Listed<MessageCopy>>(`/messages/${encodeURIComponent(id)}`);
  const copies = query.data?.items;
  if (!copies) {
    return (
      <Page title={t('entity.message')} crumbs={[{ label: t('nav.mail'), to: '/mail' }]}>
        {query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}
      </Page>
    );
  }
  if (copies.length === 0) return <Page title={t('entity.message')}><div className="card"><Empty title={t('states.notFound')} /></div></Page>;
  return (
    <>
      <Stale query={query} />
      <Body copies={copies} first={copies[0]!} />
    </>
  );
}

function Body({ copies, first }: { copies: MessageCopy[]; first: MessageCopy }) {
  const { t, language } = useT();
  const ask = useAsk();
  const may = useCan('act');
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const removable = copies.filter((copy) => REMOVABLE.includes(copy.latest_location)).map((copy) => ({ message_id: copy.message_id, recipient: copy.recipient }));
  const title = visible(first.subject) || t('mail.noSubject');
  return (
    <Page title={title} crumbs={[{ label: t('nav.mail'), to: '/mail' }, { label: t('entity.message') }]}
      chips={<><VerdictChip verdict={first.verdict} /><span className="secondary">{t('mail.from', { sender: visible(first.sender_display_name ? `${first.sender_display_name} <${first.sender_from}>` : first.sender_from) })}</span></>}
      buttons={
        <>
          <Button variant="danger" why={why || (removable.length === 0 && t('file.noneToRemove'))} onClick={() => ask({ spec: { kind: 'soft_delete_messages', copies: removable } })}>
            <MailX size={15} aria-hidden />
            {t('file.removeMail', { count: removable.length })}
          </Button>
          <Button variant="danger" why={why} onClick={() => ask({ spec: { kind: 'add_indicator', indicator: { kind: 'senderAddress', value: first.sender_from, action: 'block', severity: 'medium', note: title.slice(0, 200), expires_at: null } } })}>
            <Ban size={15} aria-hidden />
            {t('mail.blockSender')}
          </Button>
        </>
      }>
      <div className="split">
        <div className="column" style={{ gap: 16 }}>
          <Card flush title={t('mail.copies', { count: copies.length })}>
            <div className="table-scroll">
              <table className="plain">
                <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.gateway')}</th><th>{t('columns.delivered')}</th><th>{t('columns.now')}</th></tr></thead>
                <tbody>
                  {copies.toSorted((a, b) => a.recipient.localeCompare(b.recipient)).map((copy) => (
                    <tr key={copy.recipient}>
                      <td><EntityLink entity={`mailbox:${copy.recipient}`} /></td>
                      <td>{t(`deliveryAction.${copy.delivery_action}`)}</td>
                      <td><LocationChip location={copy.delivery_location} /></td>
                      <td><LocationChip location={copy.latest_location} /></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Card>
          <Card flush title={t('mail.attachments', { count: first.attachments.length })}>
            {first.attachments.length === 0 ? <Empty title={t('mail.noAttachments')} /> : (
              <div className="table-scroll">
                <table className="plain">
                  <thead><tr><th>{t('columns.name')}</th><th>{t('columns.type')}</th><th>{t('columns.size')}</th><th>SHA-256</th></tr></thead>
                  <tbody>
                    {first.attachments.map((file, index) => (
                      <tr key={index}>
                        <td>
                          <span className="row" style={{ paddingLeft: depth(file, first.attachments) * 20 }}>
                            {first.attachments.some((other) => other.parent_sha256 === file.sha256) ? <FileArchive size={15} aria-hidden /> : <FileText size={15} aria-hidden />}
                            <span className="wrap">{visible(file.name)}</span>
                          </span>
                          {file.uninspected ? <div className="small"><Chip tone="medium">{t('mail.uninspected')}</Chip> <span className="secondary">{visible(file.uninspected.text[language])}</span></div> : null}
                        </td>
                        <td className="secondary">{visible(file.file_type)}</td>
                        <td className="num">{bytes(file.size, language)}</td>
                        <td><Link className="mono" to={to.file(file.sha256)}>{shortHash(file.sha256)}</Link></td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </Card>
          <Card flush title={t('mail.links', { count: first.urls.length })}>
            {first.urls.length === 0 ? <Empty title={t('mail.noLinks')} /> : (
              <table className="plain">
                <thead><tr><th>URL</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
                <tbody>
                  {first.urls.map((url) => (
                    <tr key={url}>
                      <td className="mono wrap">{visible(url)}</td>
                      <td style={{ textAlign: 'right' }}><Button compact why={why} onClick={() => ask({ spec: { kind: 'add_indicator', indicator: { kind: 'url', value: url, action: 'block', severity: 'medium', note: title.slice(0, 200), expires_at: null } } })}>{t('mail.blockUrl')}</Button></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </Card>
        </div>
        <div className="side">
          <Card title={t('mail.facts')}>
            <Facts rows={[
              [t('columns.received'), <Time key="r" at={first.received_at} />],
              [t('mail.headerFrom'), visible(first.sender_from)],
              [t('mail.displayName'), visible(first.sender_display_name) || '—'],
              [t('mail.envelopeFrom'), visible(first.sender_mail_from) || '<>'],
              [t('mail.senderIp'), visible(first.sender_ip) || '—'],
              ['Message-ID', <code key="m" className="wrap">{visible(first.internet_message_id) || '—'}</code>],
              [t('columns.size'), bytes(first.size, language)],
              ['SPF', <Auth key="s" result={first.auth.spf} />],
              ['DKIM', <Auth key="d" result={first.auth.dkim} />],
              ['DMARC', <Auth key="a" result={first.auth.dmarc} />],
            ]} />
          </Card>
        </div>
      </div>
    </Page>
  );
}

function Auth({ result }: { result: string }) {
  return <Chip tone={result === 'pass' ? 'ok' : result === 'fail' ? 'high' : ''}>{visible(result) || 'none'}</Chip>;
}

function depth(file: Attachment, all: Attachment[]): number {
  let levels = 0;
  for (let parent = file.parent_sha256; parent && levels < 8; levels += 1) {
    parent = all.find((other) => other.sha256 === parent)?.parent_sha256 ?? null;
  }
  return levels;
}
