import { useCallback, useMemo } from 'react';
import { Link, useNavigate } from '../lib/router';
import { useCan, useList } from '../api/queries';
import { sensorHealths, type Device } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { number } from '../lib/time';
import { BulkOrder } from '../actions/bulk-order';
import { Chip, DemoChip, HealthChip, IsolationChip, SeverityChip } from '../ui/chips';
import { SearchField, Select } from '../ui/field';
import type { Column } from '../ui/grid';
import { ListPage } from '../ui/list-page';
import { Ago } from '../ui/time';
import '../styles/pages.css';

/** Isolation ends by itself after a day. */
const LEASE_SECONDS = 86_400;
const DEFAULTS = { text: '', health: '', online: '' };

export default function DeviceQueue() {
  const { t, language } = useT();
  const navigate = useNavigate();
  const may = useCan('act');
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const list = useList<Device>('/devices', filters);
  const setText = useCallback((value: string) => set({ text: value }), [set]);
  const columns = useMemo<Column<Device>[]>(() => [
    { id: 'name', head: t('columns.device'), width: 'minmax(140px, 1fr)', cell: (row) => <><Link to={to.device(row.id)} className="strong" style={{ color: 'var(--text)' }}>{visible(row.name)}</Link>{' '}<DemoChip id={row.id} /></> },
    { id: 'online', head: t('columns.state'), width: '96px', cell: (row) => row.online ? <Chip tone="ok">{t('device.online')}</Chip> : <Chip>{t('device.offline')}</Chip> },
    { id: 'health', head: t('columns.health'), width: '120px', from: 640, cell: (row) => <HealthChip health={row.health} /> },
    { id: 'isolation', head: t('columns.isolation'), width: '120px', from: 760, cell: (row) => <IsolationChip state={row.isolation} /> },
    { id: 'risk', head: t('columns.risk'), width: '122px', from: 480, cell: (row) => row.risk ? <SeverityChip severity={row.risk} /> : <span className="secondary">—</span> },
    { id: 'os', head: t('columns.os'), width: '190px', from: 900, cell: (row) => visible(row.status.os_version) },
    { id: 'user', head: t('columns.user'), width: '120px', from: 1000, cell: (row) => row.status.logged_on_users.map(visible).join(', ') || '—' },
    { id: 'events', head: t('columns.events'), width: '90px', from: 1240, end: true, cell: (row) => <span className="num">{number(row.events, language)}</span> },
    { id: 'seen', head: t('columns.lastSeen'), width: '104px', from: 560, end: true, cell: (row) => <Ago at={row.last_seen} /> },
  ], [t, language]);
  return (
    <ListPage title={t('nav.devices')} list={list} source={{ route: '/devices', query: filters }} columns={columns} rowKey={(row) => row.id} rowName={(row) => row.name}
      onOpen={(row) => void navigate(to.device(row.id))} filtered={active.length > 0} clear={clear}
      bulk={may ? (chosen, done) => (
        <>
          <BulkOrder label={t('device.isolate')} danger test="bulk-isolate" done={done} families={['/devices']} why={chosen.every((one) => one.isolation !== 'notIsolated') && t('device.allIsolated')}
            specs={chosen.filter((one) => one.isolation === 'notIsolated').map((one) => ({ kind: 'isolate_device', device_id: one.id, lease_seconds: LEASE_SECONDS }))} />
          <BulkOrder label={t('device.release')} test="bulk-release" done={done} families={['/devices']} why={chosen.every((one) => one.isolation !== 'isolated') && t('device.noneIsolated')}
            specs={chosen.filter((one) => one.isolation === 'isolated').map((one) => ({ kind: 'release_device', device_id: one.id }))} />
        </>
      ) : undefined}
      empty={{ title: t('device.none'), hint: t('device.noneHint'), action: <Link className="button primary" to="/settings/enrolment">{t('device.enrol')}</Link> }}
      filters={
        <>
          <SearchField label={t('filters.text')} value={filters.text} onChange={setText} />
          <Select shown={false} label={t('columns.health')} value={filters.health} active={filters.health !== ''} onChange={(health) => set({ health })}
            choices={[{ value: '', label: t('filters.anyHealth') }, ...sensorHealths.map((one) => ({ value: one, label: t(`health.${one}`) }))]} />
          <Select shown={false} label={t('columns.state')} value={filters.online} active={filters.online !== ''} onChange={(online) => set({ online })}
            choices={[{ value: '', label: t('filters.anyState') }, { value: 'true', label: t('device.online') }, { value: 'false', label: t('device.offline') }]} />
        </>
      }
    />
  );
}
