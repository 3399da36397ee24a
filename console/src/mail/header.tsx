// The way of a message from server to server and its raw header, read from a mailbox after somebody said why.
import { ArrowDown, FileSearch, ShieldCheck, ShieldQuestion } from 'lucide-react';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { ApiError, post } from '../api/client';
import { invalidate, useCan } from '../api/queries';
import type { MessageHeader, ReadHeader } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { duration } from '../lib/time';
import { Button, CopyButton } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Card, Select, TextArea } from '../ui/field';
import { Empty, ErrorState } from '../ui/states';
import { Time } from '../ui/time';

/** A server that keeps a mail longer than this stands out, seconds. */
const SLOW_SECONDS = 300;

export function Header({ id, recipients }: { id: string; recipients: string[] }) {
  const { t } = useT();
  const may = useCan('triage');
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState('');
  const [recipient, setRecipient] = useState('');
  const read = useMutation<MessageHeader, ApiError, ReadHeader>({
    mutationFn: (order) => post<MessageHeader>(`/messages/${encodeURIComponent(id)}/header`, order),
    onSuccess: () => setAsking(false),
    onError: () => setAsking(false),
    onSettled: () => invalidate('/audit'),
  });
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const data = read.data;
  return (
    <Card title={t('header.title')} head={<Button compact why={why} onClick={() => setAsking(true)} data-test="read-header"><FileSearch size={14} aria-hidden />{t(data ? 'header.again' : 'header.read')}</Button>}>
      {read.error ? <ErrorState error={read.error} retry={() => setAsking(true)} /> : !data ? <p className="secondary">{t('header.hint')}</p> : (
        <div className="column" style={{ gap: 14 }} data-test="header">
          <p className="small secondary">{typeof data.folder === 'string' ? t('header.from', { mailbox: visible(data.recipient), folder: visible(data.folder) }) : t('header.kept', { mailbox: visible(data.recipient) })} <Time at={data.read_at} /></p>
          <Hops header={data} />
          <section>
            <div className="spread"><h3>{t('header.raw')}</h3><CopyButton text={data.raw} label={t('words.copy')} /></div>
            <pre className="raw-header" tabIndex={0} aria-label={t('header.raw')} data-test="raw-header">{visible(data.raw.replaceAll('\r\n', '\n'))}</pre>
            {data.complete ? null : <p className="small secondary">{t('header.cut')}</p>}
          </section>
        </div>
      )}
      <Dialog open={asking} onClose={() => setAsking(false)} title={t('header.read')} description={t('header.onRecord')} confirm={t('header.read')} busy={read.isPending} test="header-confirm"
        why={!reason.trim() && t('actions.reasonMissing')} onConfirm={() => read.mutate({ reason: reason.trim(), recipient: recipient || null })}>
        {recipients.length > 1 ? (
          <Select label={t('columns.mailbox')} value={recipient} onChange={setRecipient} choices={[{ value: '', label: t('header.anyMailbox') }, ...recipients.slice(0, 200).map((one) => ({ value: one, label: visible(one) }))]} />
        ) : null}
        <TextArea label={t('actions.reason')} value={reason} onChange={setReason} required />
      </Dialog>
    </Card>
  );
}

function Hops({ header }: { header: MessageHeader }) {
  const { t, language } = useT();
  if (header.hops.length === 0) return <Empty title={t('header.noHops')} />;
  return (
    <section>
      <h3>{t('header.hops')}</h3>
      <div className="table-scroll" tabIndex={0} role="region" aria-label={t('header.hops')}>
        <table className="plain">
          <thead><tr><th>{t('header.server')}</th><th>{t('header.with')}</th><th>{t('columns.time')}</th><th>{t('header.delay')}</th></tr></thead>
          <tbody>
            {header.hops.map((hop, index) => (
              <tr key={index} data-test="hop" data-trusted={hop.trusted}>
                <td style={{ minWidth: 230 }}>
                  <span className="wrap">{visible(hop.from) || '—'}{hop.address ? <span className="secondary"> [{visible(hop.address)}]</span> : null}</span>
                  <div className="row wrapping" style={{ gap: 4 }}>
                    <ArrowDown size={13} aria-hidden /><span className="wrap strong">{visible(hop.by) || '—'}</span>
                    {hop.trusted ? <Chip tone="ok"><ShieldCheck size={13} aria-hidden />{t('header.trusted')}</Chip> : <Chip title={t('header.untrustedHint')}><ShieldQuestion size={13} aria-hidden />{t('header.untrusted')}</Chip>}
                  </div>
                </td>
                <td className="secondary" style={{ whiteSpace: 'nowrap' }}>{visible(hop.with) || '—'}</td>
                <td>{hop.at ? <Time at={hop.at} /> : '—'}</td>
                <td className="num">{typeof hop.delay_seconds !== 'number' ? '—' : hop.delay_seconds < 0 ? <Chip tone="medium" title={t('header.backwards')}>−{duration(-hop.delay_seconds * 1_000, language)}</Chip>
                  : hop.delay_seconds >= SLOW_SECONDS ? <Chip tone="low">{duration(hop.delay_seconds * 1_000, language)}</Chip> : hop.delay_seconds === 0 ? '0' : duration(hop.delay_seconds * 1_000, language)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="small secondary">{t('header.untrustedHint')}</p>
    </section>
  );
}
