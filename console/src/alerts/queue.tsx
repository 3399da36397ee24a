import { useCallback, useMemo } from 'react';
import { Link, useNavigate } from '../lib/router';
import { useCan, useList } from '../api/queries';
import { alertStatuses, severities, type AlertSummary } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { AlertBulk } from './bulk';
import { AlertStatusChip, DetectionStatusChip, SeverityChip, TechniqueChip } from '../ui/chips';
import { SearchField, Select } from '../ui/field';
import type { Column } from '../ui/grid';
import { ListPage } from '../ui/list-page';
import { Ago } from '../ui/time';
import '../styles/pages.css';

const DEFAULTS = { text: '', status: 'new,inProgress', severity: '', source: '', device: '', rule: '', hidden: '' };

export default function AlertQueue() {
  const { t, text } = useT();
  const navigate = useNavigate();
  const may = useCan('triage');
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const status = filters.status === 'all' ? undefined : filters.status;
  const asked = { ...filters, status };
  const list = useList<AlertSummary>('/alerts', asked);
  const setText = useCallback((value: string) => set({ text: value }), [set]);
  const columns = useMemo<Column<AlertSummary>[]>(() => [
    { id: 'severity', head: t('columns.severity'), width: '122px', cell: (row) => <SeverityChip severity={row.severity} /> },
    { id: 'title', head: t('columns.alert'), width: 'minmax(140px, 1fr)', cell: (row) => <Link to={to.alert(row.id)} className="strong" style={{ color: 'var(--text)' }}>{visible(text(row.title))}</Link> },
    { id: 'status', head: t('columns.status'), width: '110px', from: 560, cell: (row) => <AlertStatusChip status={row.status} /> },
    { id: 'detection', head: t('columns.detection'), width: '120px', from: 760, cell: (row) => <DetectionStatusChip status={row.detection_status} /> },
    { id: 'source', head: t('columns.source'), width: '90px', from: 900, cell: (row) => t(`serviceSource.${row.service_source}`) },
    { id: 'asset', head: t('columns.asset'), width: 'minmax(110px, 0.5fr)', from: 820, cell: (row) => row.device ? visible(row.device.name) : row.mailboxes.length === 1 ? visible(row.mailboxes[0]!) : t('entityCount.mailbox', { count: row.mailboxes.length }) },
    { id: 'technique', head: t('columns.technique'), width: '110px', from: 1000, cell: (row) => row.techniques[0] ? <TechniqueChip id={row.techniques[0]} /> : '—' },
    { id: 'time', head: t('columns.time'), width: '100px', from: 480, end: true, cell: (row) => <Ago at={row.last_activity} /> },
  ], [t, text]);
  return (
    <ListPage title={t('nav.alerts')} list={list} source={{ route: '/alerts', query: asked }} columns={columns} rowKey={(row) => row.id} rowName={(row) => text(row.title)}
      onOpen={(row) => void navigate(to.alert(row.id))} filtered={active.length > 0} clear={clear}
      bulk={may ? (chosen, done) => <AlertBulk alerts={chosen} done={done} /> : undefined}
      empty={{ title: t('alert.none'), hint: t('alert.noneHint') }}
      filters={
        <>
          <SearchField label={t('filters.text')} value={filters.text} onChange={setText} />
          <Select shown={false} label={t('columns.status')} value={filters.status} active={filters.status !== DEFAULTS.status} onChange={(value) => set({ status: value })}
            choices={[{ value: DEFAULTS.status, label: t('filters.open') }, { value: 'all', label: t('filters.anyStatus') }, ...alertStatuses.map((one) => ({ value: one, label: t(`alertStatus.${one}`) }))]} />
          <Select shown={false} label={t('columns.severity')} value={filters.severity} active={filters.severity !== ''} onChange={(value) => set({ severity: value })}
            choices={[{ value: '', label: t('filters.anySeverity') }, { value: 'high,medium', label: t('filters.highMedium') }, ...[...severities].reverse().map((one) => ({ value: one, label: t(`severity.${one}`) }))]} />
          <Select shown={false} label={t('columns.source')} value={filters.source} active={filters.source !== ''} onChange={(value) => set({ source: value })}
            choices={[{ value: '', label: t('filters.anySource') }, { value: 'endpoint', label: t('serviceSource.endpoint') }, { value: 'mail', label: t('serviceSource.mail') }]} />
          <Select shown={false} label={t('tuning.hiddenAlerts')} value={filters.hidden} active={filters.hidden !== ''} onChange={(value) => set({ hidden: value })}
            choices={[{ value: '', label: t('tuning.shownAlerts') }, { value: 'true', label: t('tuning.hiddenAlerts') }]} />
          {filters.rule ? <span className="chip">{t('tuning.ofRule', { rule: visible(filters.rule) })}</span> : null}
        </>
      }
    />
  );
}
