import { Cog, FileText, Layers, Mail, Network, ShieldAlert, X, type LucideIcon } from 'lucide-react';
import { useCallback, useMemo, useRef, useState } from 'react';
import { Link } from '../lib/router';
import { useList } from '../api/queries';
import type { Device, EventRow } from '../api/types';
import { useT } from '../i18n';
import { shortHash, to, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { dateTime, ms } from '../lib/time';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Card, Facts, SearchField, Select } from '../ui/field';
import { Grid, useWidth, type Column } from '../ui/grid';
import { Empty, EmptyFiltered, ErrorState, Skeleton, Stale } from '../ui/states';
import { Clock } from '../ui/time';
import { actorOf, eventKey, kindOf, subjectOf, userOf, type EventKind } from './event-words';

const DEFAULTS = { text: '', table: '', range: '24h', from: '', to: '' };
const RANGES_MS = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 } as const;
const TABLES = ['DeviceProcessEvents', 'DeviceFileEvents', 'DeviceNetworkEvents', 'DeviceEvents'] as const;
const ICONS: Record<EventKind, LucideIcon> = { process: Cog, file: FileText, network: Network, detection: ShieldAlert, mail: Mail, other: Layers };
/** A bar is a button, so it is never narrower than this. */
const BAR_PX = 26;

export function DeviceTimeline({ device }: { device: Device }) {
  const { t, language } = useT();
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const [chosen, setChosen] = useState<EventRow | null>(null);
  const from = useMemo(() => {
    if (filters.from) return filters.from;
    const range = RANGES_MS[filters.range as keyof typeof RANGES_MS];
    // a whole minute, so that the question stays the same while the page is open
    return range ? new Date(Math.floor((Date.now() - range) / 60_000) * 60_000).toISOString() : undefined;
  }, [filters.from, filters.range]);
  const list = useList<EventRow>(`/devices/${device.id}/events`, { from, to: filters.to, table: filters.table, text: filters.text });
  const setText = useCallback((text: string) => set({ text }), [set]);
  const items = list.items;
  const columns = useMemo<Column<EventRow>[]>(() => [
    { id: 'time', head: t('columns.time'), width: '176px', cell: (row) => <span className="secondary">{dateTime(row.Timestamp, language).slice(0, 10)} <Clock at={row.Timestamp} /></span> },
    {
      id: 'kind', head: t('columns.event'), width: '190px', cell: (row) => {
        const Icon = ICONS[kindOf(row)];
        return <span className="row"><Icon size={15} aria-hidden color={kindOf(row) === 'detection' ? 'var(--high)' : 'var(--secondary)'} /><span className="truncate">{String(row.ActionType ?? row.Table)}</span></span>;
      },
    },
    { id: 'what', head: t('columns.what'), width: 'minmax(220px, 1fr)', cell: (row) => <span className="mono">{subjectOf(row)}</span> },
    { id: 'actor', head: t('columns.by'), width: '130px', from: 820, cell: (row) => actorOf(row) || '—' },
    { id: 'user', head: t('columns.user'), width: '100px', from: 960, cell: (row) => userOf(row) || '—' },
  ], [t, language]);
  return (
    <Card flush title={t('device.timeline')}>
      <div className="filters" role="search" aria-label={t('filters.label')} style={{ padding: '10px 16px', borderBottom: '1px solid var(--hairline)' }}>
        <SearchField label={t('filters.eventText')} value={filters.text} onChange={setText} />
        <Select shown={false} label={t('columns.kind')} value={filters.table} active={filters.table !== ''} onChange={(table) => set({ table })}
          choices={[{ value: '', label: t('filters.anyEvent') }, ...TABLES.map((table) => ({ value: table, label: t(`table.${table}`) }))]} />
        <Select shown={false} label={t('columns.time')} value={filters.range} active={filters.range !== DEFAULTS.range} onChange={(range) => set({ range, from: '', to: '' })}
          choices={(Object.keys(RANGES_MS) as (keyof typeof RANGES_MS)[]).map((range) => ({ value: range, label: t(`filters.range.${range}`) }))} />
        {filters.from ? <Chip tone="accent">{dateTime(filters.from, language)} –<button type="button" aria-label={t('states.clearFilters')} onClick={() => set({ from: '', to: '' })}><X size={13} aria-hidden /></button></Chip> : null}
        {active.length ? <Button variant="text" onClick={clear}>{t('states.clearFilters')}</Button> : null}
      </div>
      <Stale query={list} />
      {!items ? (
        list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Skeleton rows={10} />
      ) : items.length === 0 ? (
        active.length ? <EmptyFiltered onClear={clear} /> : <Empty title={t('device.noEvents')}>{t('device.noEventsHint')}</Empty>
      ) : (
        <>
          <Histogram items={items} onPick={(start, end) => set({ from: new Date(start).toISOString(), to: new Date(end).toISOString() })} />
          <div style={{ display: 'grid', gridTemplateColumns: chosen ? 'minmax(0, 1fr) minmax(280px, 380px)' : 'minmax(0, 1fr)' }}>
            <Grid label={t('device.timeline')} columns={columns} rows={items} rowKey={eventKey} rowName={subjectOf} rowHeight={34} maxHeight="max(420px, calc(100dvh - 330px))"
              onPeek={setChosen} onOpen={setChosen} current={chosen ? eventKey(chosen) : null}
              hasMore={list.hasNextPage && !list.isFetchingNextPage} loadMore={() => void list.fetchNextPage()} />
            {chosen ? <EventDetails event={chosen} onClose={() => setChosen(null)} /> : null}
          </div>
        </>
      )}
    </Card>
  );
}

/** How the loaded events spread over time; a click narrows the list to one bar. */
function Histogram({ items, onPick }: { items: EventRow[]; onPick: (from: number, to: number) => void }) {
  const { t, language } = useT();
  const box = useRef<HTMLDivElement>(null);
  const room = Math.max(4, Math.floor(((useWidth(box) || 800) - 32) / BAR_PX));
  const bars = useMemo(() => {
    const times = items.map((event) => ms(event.Timestamp));
    const [first, last] = [Math.min(...times), Math.max(...times)];
    const size = Math.max(1, (last - first) / room);
    const counts = Array.from({ length: room }, (_, index) => ({ from: first + index * size, to: first + (index + 1) * size + 1, count: 0 }));
    for (const at of times) counts[Math.min(room - 1, Math.floor((at - first) / size))]!.count += 1;
    return counts;
  }, [items, room]);
  const most = Math.max(...bars.map((bar) => bar.count));
  return (
    <div className="histogram" ref={box} role="group" aria-label={t('device.histogram')}>
      {bars.map((bar) => {
        const words = `${dateTime(new Date(bar.from).toISOString(), language)}: ${bar.count}`;
        return (
          <button key={bar.from} type="button" title={words} aria-label={words} tabIndex={bar.count ? 0 : -1} onClick={() => onPick(bar.from, bar.to)}>
            <span style={{ height: bar.count ? `${Math.max(8, (bar.count / most) * 100)}%` : 0 }} />
          </button>
        );
      })}
    </div>
  );
}

const FIRST = ['Timestamp', 'Table', 'ActionType', 'FileName', 'FolderPath', 'ProcessCommandLine', 'RemoteIP', 'RemotePort', 'RemoteUrl', 'SHA256'];

function EventDetails({ event, onClose }: { event: EventRow; onClose: () => void }) {
  const { t } = useT();
  const entries = Object.entries(event).filter(([, value]) => value !== null && value !== undefined && value !== '');
  entries.sort(([a], [b]) => (FIRST.indexOf(a) + 1 || 99) - (FIRST.indexOf(b) + 1 || 99) || a.localeCompare(b));
  return (
    <aside className="pane" aria-label={t('story.details')} style={{ position: 'static', width: 'auto', maxHeight: 'max(420px, calc(100dvh - 330px))', boxShadow: 'none' }} tabIndex={0}>
      <div className="pane-head">
        <h2>{String(event.ActionType ?? event.Table)}</h2>
        <Button variant="quiet" compact icon onClick={onClose} aria-label={t('words.close')}><X size={16} aria-hidden /></Button>
      </div>
      <Facts rows={entries.map(([name, value]): [string, React.ReactNode] => [
        name,
        /SHA256$/.test(name) ? <Link key={name} className="mono" to={to.file(String(value))}>{shortHash(String(value))}</Link> : <span key={name} className="mono small wrap">{visible(String(value))}</span>,
      ])} />
    </aside>
  );
}
