import { Paperclip } from 'lucide-react';
import { useCallback, useMemo } from 'react';
import { Link, useNavigate } from 'react-router';
import { useList } from '../api/queries';
import { deliveryLocations, type MessageCopy } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { LocationChip, VerdictChip } from '../ui/chips';
import { SearchField, Select } from '../ui/field';
import type { Column } from '../ui/grid';
import { ListPage } from '../ui/list-page';
import { Ago } from '../ui/time';
import '../styles/pages.css';

const DEFAULTS = { subject: '', sender: '', recipient: '', location: '', sha256: '', url: '' };

export default function MailQueue() {
  const { t } = useT();
  const navigate = useNavigate();
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const list = useList<MessageCopy>('/messages', filters);
  const setSubject = useCallback((subject: string) => set({ subject }), [set]);
  const setSender = useCallback((sender: string) => set({ sender }), [set]);
  const setRecipient = useCallback((recipient: string) => set({ recipient }), [set]);
  const columns = useMemo<Column<MessageCopy>[]>(() => [
    { id: 'subject', head: t('columns.subject'), width: 'minmax(220px, 1fr)', cell: (row) => <Link to={to.message(row.message_id)} className="strong" style={{ color: 'var(--text)' }}>{visible(row.subject) || t('mail.noSubject')}</Link> },
    { id: 'sender', head: t('columns.sender'), width: '220px', from: 560, cell: (row) => visible(row.sender_from || row.sender_mail_from) },
    { id: 'recipient', head: t('columns.recipient'), width: '210px', from: 700, cell: (row) => visible(row.recipient) },
    { id: 'files', head: t('columns.files'), width: '60px', from: 860, cell: (row) => row.attachments.length ? <span className="row num"><Paperclip size={14} aria-hidden />{row.attachments.length}</span> : '' },
    { id: 'verdict', head: t('columns.verdict'), width: '128px', from: 900, cell: (row) => <VerdictChip verdict={row.verdict} /> },
    { id: 'delivered', head: t('columns.delivered'), width: '120px', from: 1290, cell: (row) => <LocationChip location={row.delivery_location} /> },
    { id: 'now', head: t('columns.now'), width: '120px', cell: (row) => <LocationChip location={row.latest_location} /> },
    { id: 'time', head: t('columns.time'), width: '100px', end: true, cell: (row) => <Ago at={row.received_at} /> },
  ], [t]);
  return (
    <ListPage title={t('nav.mail')} list={list} columns={columns} rowKey={(row) => `${row.message_id}/${row.recipient}`} rowName={(row) => row.subject}
      onOpen={(row) => void navigate(to.message(row.message_id))} filtered={active.length > 0} clear={clear}
      empty={{ title: t('mail.none'), hint: t('mail.noneHint') }}
      filters={
        <>
          <SearchField label={t('columns.subject')} value={filters.subject} onChange={setSubject} />
          <SearchField label={t('columns.sender')} value={filters.sender} onChange={setSender} />
          <SearchField label={t('columns.recipient')} value={filters.recipient} onChange={setRecipient} />
          <Select shown={false} label={t('columns.now')} value={filters.location} active={filters.location !== ''} onChange={(location) => set({ location })}
            choices={[{ value: '', label: t('filters.anyLocation') }, ...deliveryLocations.map((one) => ({ value: one, label: t(`location.${one}`) }))]} />
        </>
      }
    />
  );
}
