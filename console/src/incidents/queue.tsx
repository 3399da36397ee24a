import { Laptop, Mail, ShieldCheck, UserRound } from 'lucide-react';
import { useCallback, useMemo, useRef, useState } from 'react';
import { Link, useNavigate, useSearchParams } from '../lib/router';
import { patch } from '../api/client';
import { invalidate, useCan, useList, useMe } from '../api/queries';
import { severities, type IncidentSummary, type UpdateIncident } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { useKeys } from '../lib/keys';
import { Button } from '../ui/button';
import { Chip, DemoChip, IncidentStatusChip, InvestigationChip, SeverityChip } from '../ui/chips';
import { SearchField, Select } from '../ui/field';
import { Grid, type Column } from '../ui/grid';
import { ListTools, useHidden } from '../ui/list-tools';
import { Empty, EmptyFiltered, ErrorState, Skeleton, Stale } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { Preview } from './preview';
import { ResolveDialog, type Resolution } from './resolve';
import { incidentName, TacticCells, useOwnerChoices } from './shared';
import '../styles/pages.css';

const DEFAULTS = { text: '', status: 'open', severity: '', owner: '', sort: '-last_activity' };

function statusParam(status: string): string | undefined {
  if (status === 'open') return 'active,inProgress,awaitingAction';
  return status === 'all' ? undefined : status;
}

export default function IncidentQueue() {
  const { t, text } = useT();
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const [params, setParams] = useSearchParams();
  const peek = params.get('pane');
  const navigate = useNavigate();
  const me = useMe();
  const may = useCan('triage');
  const toast = useToast();
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [resolving, setResolving] = useState(false);
  const [busy, setBusy] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const asked = { text: filters.text, status: statusParam(filters.status), severity: filters.severity, assigned_to: filters.owner, sort: filters.sort };
  const list = useList<IncidentSummary>('/incidents', asked);
  const [hidden] = useHidden();
  const items = list.items;
  const setText = useCallback((value: string) => set({ text: value }), [set]);

  const setPane = (number: number | null) =>
    setParams((now) => {
      const next = new URLSearchParams(now);
      if (number === null) next.delete('pane');
      else next.set('pane', String(number));
      return next;
    }, { replace: true });

  const bulk = async (change: UpdateIncident, ids = [...selected]) => {
    setBusy(true);
    try {
      for (const id of ids) await patch(`/incidents/${id}`, change, items?.find((incident) => incident.id === id));
      toast.ok(t('incident.changed', { count: ids.length }));
      setSelected(new Set());
      setResolving(false);
    } catch (error) {
      toast.failed(error);
    } finally {
      setBusy(false);
      await invalidate('/incidents', '/alerts');
    }
  };

  const shown = items?.find((incident) => String(incident.number) === peek);
  useKeys({
    Escape: () => setPane(null),
    e: () => may && me && (selected.size > 0 ? void bulk({ assigned_to: me.user.name }) : shown && void bulk({ assigned_to: me.user.name }, [shown.id])),
    r: () => may && selected.size > 0 && setResolving(true),
  });

  const owners = useOwnerChoices(null);
  const columns = useMemo<Column<IncidentSummary>[]>(() => [
    { id: 'severity', head: t('columns.severity'), width: '122px', sort: 'severity', cell: (row) => <SeverityChip severity={row.severity} /> },
    {
      id: 'title', head: t('columns.incident'), width: 'minmax(140px, 1fr)',
      cell: (row) => <><span className="secondary num small">{incidentName(row.number)}</span>{' '}<Link to={to.incident(row.number)} className="strong" style={{ color: 'var(--text)' }}>{visible(text(row.title))}</Link>{' '}<DemoChip id={row.id} /></>,
    },
    { id: 'status', head: t('columns.status'), width: '122px', from: 720, cell: (row) => <IncidentStatusChip status={row.status} /> },
    {
      id: 'assets', head: t('columns.affected'), width: '112px', from: 850,
      cell: (row) => (
        <span className="row num" style={{ gap: 10 }}>
          <Count icon={<Laptop size={14} aria-hidden />} count={row.devices.length} label={t('incident.devices')} />
          <Count icon={<UserRound size={14} aria-hidden />} count={row.users.length} label={t('incident.users')} />
          <Count icon={<Mail size={14} aria-hidden />} count={row.mailboxes.length} label={t('incident.mailboxes')} />
        </span>
      ),
    },
    { id: 'tactics', head: 'ATT&CK', width: '108px', from: 1110, cell: (row) => <TacticCells tactics={row.tactics} /> },
    { id: 'alerts', head: t('columns.alerts'), width: '52px', from: 1290, end: true, cell: (row) => <span className="num">{row.active_alerts}/{row.alert_count}</span> },
    {
      id: 'automation', head: t('columns.automation'), width: '140px', from: 1000,
      cell: (row) => row.pending_actions > 0
        ? <Chip tone="medium">{t('incident.waiting', { count: row.pending_actions })}</Chip>
        : row.investigation_state ? <InvestigationChip state={row.investigation_state} /> : <span className="secondary">—</span>,
    },
    { id: 'owner', head: t('columns.owner'), width: '80px', from: 1195, cell: (row) => row.assigned_to ?? <span className="secondary">{t('words.nobody')}</span> },
    { id: 'activity', head: t('columns.lastActivity'), width: '92px', from: 420, sort: 'last_activity', end: true, cell: (row) => <Ago at={row.last_activity} /> },
  ], [t, text]);

  const filtered = active.some((name) => name !== 'sort');
  return (
    <Page title={t('nav.incidents')} full>
      <div className="filters">
        <div className="filters grow" role="search" aria-label={t('filters.label')}>
        <SearchField label={t('filters.text')} value={filters.text} onChange={setText} inputRef={search} />
        <Select shown={false} label={t('columns.status')} value={filters.status} active={filters.status !== DEFAULTS.status} onChange={(status) => set({ status })}
          choices={[
            { value: 'open', label: t('filters.open') }, { value: 'all', label: t('filters.anyStatus') },
            ...(['active', 'inProgress', 'awaitingAction', 'resolved'] as const).map((status) => ({ value: status, label: t(`incidentStatus.${status}`) })),
          ]} />
        <Select shown={false} label={t('columns.severity')} value={filters.severity} active={filters.severity !== ''} onChange={(severity) => set({ severity })}
          choices={[
            { value: '', label: t('filters.anySeverity') }, { value: 'high,medium', label: t('filters.highMedium') },
            ...[...severities].reverse().map((severity) => ({ value: severity, label: t(`severity.${severity}`) })),
          ]} />
        <Select shown={false} label={t('columns.owner')} value={filters.owner} active={filters.owner !== ''} onChange={(owner) => set({ owner })}
          choices={[
            { value: '', label: t('filters.anyOwner') }, { value: 'me', label: t('filters.mine') }, { value: 'none', label: t('filters.unassigned') },
            ...owners.slice(1).filter((owner) => owner.value !== me?.user.name),
          ]} />
        {filtered ? <Button variant="text" onClick={clear}>{t('states.clearFilters')}</Button> : null}
        </div>
        <ListTools source={{ route: '/incidents', query: asked }} columns={columns} />
      </div>
      <div className="queue" data-pane={Boolean(peek)}>
        <div className="grid" style={{ minHeight: 0 }}>
          <Stale query={list} />
          {!items ? (
            list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Skeleton rows={12} height={22} />
          ) : items.length === 0 ? (
            filtered ? <EmptyFiltered onClear={clear} /> : (
              <Empty title={t('incident.none')} icon={<ShieldCheck size={36} strokeWidth={1.4} aria-hidden />}
                action={<Link className="button" to="/incidents?status=all">{t('incident.showResolved')}</Link>}>
                {t('incident.noneHint')}
              </Empty>
            )
          ) : (
            <Grid label={t('nav.incidents')} columns={columns.filter((column) => column.id === 'title' || !hidden.has(column.id))} rows={items} total={list.total} rowKey={(row) => row.id}
              rowName={(row) => incidentName(row.number)} onOpen={(row) => void navigate(to.incident(row.number))}
              onPeek={(row) => setPane(row.number)} current={shown?.id ?? null}
              selected={may ? selected : undefined} onSelected={may ? setSelected : undefined}
              sort={filters.sort} onSort={(sort) => set({ sort })}
              hasMore={list.hasNextPage && !list.isFetchingNextPage} loadMore={() => void list.fetchNextPage()} />
          )}
          {selected.size > 0 ? (
            <div className="bulk" role="region" aria-label={t('grid.bulk')}>
              <span className="grow">{t('grid.selected', { count: selected.size })}</span>
              <Button compact busy={busy} onClick={() => me && void bulk({ assigned_to: me.user.name })}>{t('incident.assignMe')} <kbd aria-hidden>e</kbd></Button>
              <Button compact busy={busy} onClick={() => void bulk({ status: 'inProgress' })}>{t('incident.start')}</Button>
              <Button compact busy={busy} onClick={() => setResolving(true)}>{t('incident.resolveDots')} <kbd aria-hidden>r</kbd></Button>
              <Button compact variant="quiet" onClick={() => setSelected(new Set())}>{t('grid.clear')}</Button>
            </div>
          ) : null}
        </div>
        {peek ? <Preview number={peek} onClose={() => setPane(null)} /> : null}
      </div>
      <ResolveDialog open={resolving} onClose={() => setResolving(false)} count={selected.size} busy={busy}
        onResolve={(resolution: Resolution) => void bulk(resolution)} />
    </Page>
  );
}

function Count({ icon, count, label }: { icon: React.ReactNode; count: number; label: string }) {
  return (
    <span className={`row ${count ? '' : 'secondary'}`} style={{ gap: 3 }} title={`${label}: ${count}`}>
      {icon}
      <span className="hidden-text">{label}: </span>
      {count}
    </span>
  );
}
