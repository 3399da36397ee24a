import { useMemo } from 'react';
import { Link, useNavigate } from '../lib/router';
import { useList } from '../api/queries';
import type { InvestigationSummary } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { duration, ms } from '../lib/time';
import { InvestigationChip } from '../ui/chips';
import { Select } from '../ui/field';
import type { Column } from '../ui/grid';
import { ListPage } from '../ui/list-page';
import { Ago } from '../ui/time';
import '../styles/pages.css';

const DEFAULTS = { state: '' };
const GROUPS = {
  running: 'queued,running', waiting: 'pendingApproval,pendingResource', failed: 'failed,partiallyInvestigated',
  done: 'benign,successfullyRemediated,partiallyRemediated',
} as const;

export default function InvestigationQueue() {
  const { t, text, language } = useT();
  const navigate = useNavigate();
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const list = useList<InvestigationSummary>('/investigations', filters);
  const columns = useMemo<Column<InvestigationSummary>[]>(() => [
    { id: 'number', head: t('columns.id'), width: '60px', from: 480, cell: (row) => <span className="num secondary">#{row.number}</span> },
    { id: 'title', head: t('nav.investigation'), width: 'minmax(130px, 1fr)', cell: (row) => <Link to={to.investigation(row.id)} className="strong" style={{ color: 'var(--text)' }}>{visible(text(row.title))}</Link> },
    { id: 'state', head: t('columns.status'), width: '190px', cell: (row) => <InvestigationChip state={row.state} /> },
    { id: 'device', head: t('columns.device'), width: '150px', from: 700, cell: (row) => row.device ? visible(row.device.name) : '—' },
    { id: 'malicious', head: t('verdict.malicious'), width: '90px', from: 800, end: true, cell: (row) => <span className="num">{row.malicious}</span> },
    { id: 'entities', head: t('columns.entities'), width: '90px', from: 900, end: true, cell: (row) => <span className="num">{row.entities}</span> },
    { id: 'duration', head: t('columns.duration'), width: '110px', from: 760, end: true, cell: (row) => row.ended_at ? duration(ms(row.ended_at) - ms(row.started_at), language) : '…' },
    { id: 'started', head: t('columns.started'), width: '110px', from: 560, end: true, cell: (row) => <Ago at={row.started_at} /> },
  ], [t, text, language]);
  return (
    <ListPage title={t('nav.investigations')} list={list} source={{ route: '/investigations', query: filters }} columns={columns} rowKey={(row) => row.id} rowName={(row) => `#${row.number}`}
      onOpen={(row) => void navigate(to.investigation(row.id))} filtered={active.length > 0} clear={clear}
      empty={{ title: t('investigation.none'), hint: t('investigation.noneHint') }}
      filters={<Select shown={false} label={t('columns.status')} value={filters.state} active={filters.state !== ''} onChange={(state) => set({ state })}
        choices={[{ value: '', label: t('filters.anyStatus') }, ...(Object.keys(GROUPS) as (keyof typeof GROUPS)[]).map((group) => ({ value: GROUPS[group], label: t(`investigation.groups.${group}`) }))]} />}
    />
  );
}
