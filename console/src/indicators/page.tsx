import { CircleHelp, History, Laptop, Plus, Rss, ScanSearch, Trash2, Upload } from 'lucide-react';
import { useCallback, useMemo, useState } from 'react';
import { useCan, useList, useOrder } from '../api/queries';
import { indicatorActions, indicatorKinds, type Indicator, type IndicatorAction, type IndicatorKind } from '../api/types';
import { useT } from '../i18n';
import { pageOf, shortHash, shown, visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { Link } from '../lib/router';
import { BulkOrder } from '../actions/bulk-order';
import { useAsk } from '../actions/order';
import { Button } from '../ui/button';
import { Chip, SeverityChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Field, SearchField, Select, TextArea } from '../ui/field';
import type { Column } from '../ui/grid';
import { ListPage } from '../ui/list-page';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { Feeds } from './feeds';
import { ImportIndicators, Imports } from './import';
import { Looks } from './looks';
import { Reach } from './reach';
import { EVERYWHERE, ScopeFields, ScopeLine, isEverything, scopeOf } from './scope';
import { TONES } from './tones';
import { Why } from './why';
import '../styles/pages.css';

const DEFAULTS = { text: '', kind: '', action: '' };
const ENTITY: Record<IndicatorKind, string> = { fileSha256: 'file', fileSha1: 'file', fileMd5: 'file', senderAddress: 'sender', senderDomain: 'domain', url: 'url', domain: 'domain', ip: 'ip', cidr: 'ip', certificateSha256: 'certificate', subjectPattern: 'subject' };

export default function IndicatorsPage() {
  const { t } = useT();
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const list = useList<Indicator>('/indicators', filters);
  const setText = useCallback((text: string) => set({ text }), [set]);
  const may = useCan('act');
  const ask = useAsk();
  const [open, setOpen] = useState<'add' | 'import' | 'imports' | 'feeds' | 'looks' | 'why' | Indicator | null>(null);
  const close = () => setOpen(null);
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const columns = useMemo<Column<Indicator>[]>(() => [
    { id: 'action', head: t('columns.action'), width: '124px', cell: (row) => row.spec.kind === 'certificateSha256' ? <Chip tone="outline" title={t('indicator.notEnforced')}>{t('indicator.notEnforcedShort')}</Chip> : <Chip tone={TONES[row.spec.action]}>{t(`indicatorState.${row.spec.action}`)}</Chip> },
    { id: 'kind', head: t('columns.kind'), width: '140px', from: 620, cell: (row) => t(`indicatorKind.${row.spec.kind}`) },
    {
      id: 'value', head: t('columns.value'), width: 'minmax(140px, 1fr)', cell: (row) => {
        // pages of files are by SHA-256, of addresses by one address
        const own = !['fileSha1', 'fileMd5', 'cidr', 'certificateSha256', 'subjectPattern'].includes(row.spec.kind);
        const page = own ? pageOf(`${ENTITY[row.spec.kind]}:${row.spec.value}`) : null;
        const words = <span className="mono">{row.spec.kind === 'fileSha256' ? shortHash(row.spec.value) : shown(row.spec.kind, row.spec.value)}</span>;
        return page ? <Link to={page} className="truncate" style={{ display: 'block', lineHeight: '28px' }} title={shown(row.spec.kind, row.spec.value)}>{words}</Link> : words;
      },
    },
    { id: 'severity', head: t('columns.severity'), width: '122px', from: 760, cell: (row) => <SeverityChip severity={row.spec.severity} /> },
    { id: 'note', head: t('columns.note'), width: '180px', from: 1290, cell: (row) => row.spec.kind === 'certificateSha256' ? t('indicator.notEnforced') : isEverything(row.spec.scope) ? visible(row.spec.note) || '—' : <ScopeLine scope={row.spec.scope} /> },
    { id: 'hits', head: t('columns.hits'), width: '70px', from: 700, end: true, cell: (row) => <span className="num">{row.hits}</span> },
    { id: 'hit', head: t('columns.lastHit'), width: '100px', from: 900, end: true, cell: (row) => row.last_hit ? <Ago at={row.last_hit} /> : '—' },
    { id: 'by', head: t('columns.by'), width: '150px', from: 1360, cell: (row) => visible(row.created_by) },
    { id: 'expires', head: t('columns.expires'), width: '100px', from: 820, end: true, cell: (row) => row.spec.expires_at ? <Ago at={row.spec.expires_at} /> : t('words.never') },
    {
      id: 'devices', head: t('indicator.devices'), width: '44px', from: 620, end: true, cell: (row) => row.spec.kind === 'fileSha256' && row.spec.action.startsWith('block') ? (
        <Button variant="quiet" compact icon data-test="indicator-devices" aria-label={t('indicator.showDevices', { value: row.spec.value })} title={t('indicator.devices')} onClick={() => setOpen(row)}><Laptop size={15} aria-hidden /></Button>
      ) : null,
    },
    {
      id: 'remove', head: t('columns.action'), width: '44px', end: true, cell: (row) => (
        <Button variant="quiet" compact icon why={why} aria-label={t('indicator.remove', { value: row.spec.value })} title={t('indicator.removeShort')}
          onClick={() => ask({ spec: { kind: 'remove_indicator', indicator_id: row.id } })}><Trash2 size={15} aria-hidden /></Button>
      ),
    },
  ], [t, ask, why]);
  return (
    <>
      <ListPage title={t('nav.indicators')} list={list} source={{ route: '/indicators', query: filters }} columns={columns} rowKey={(row) => row.id} rowName={(row) => row.spec.value}
        bulk={may ? (chosen, done) => <BulkOrder label={t('actionKind.remove_indicator')} danger test="bulk-remove" done={done} families={['/indicators', '/files', '/pivot']} specs={chosen.map((one) => ({ kind: 'remove_indicator', indicator_id: one.id }))} /> : undefined}
        filtered={active.length > 0} clear={clear} empty={{ title: t('indicator.none'), hint: t('indicator.noneHint') }}
        buttons={
          <>
            <Button data-test="indicators-why" onClick={() => setOpen('why')}><CircleHelp size={15} aria-hidden />{t('indicator.whyShort')}</Button>
            <Button data-test="indicators-looks" onClick={() => setOpen('looks')}><ScanSearch size={15} aria-hidden />{t('indicator.looks')}</Button>
            <Button data-test="indicators-feeds" onClick={() => setOpen('feeds')}><Rss size={15} aria-hidden />{t('indicator.feeds')}</Button>
            <Button data-test="indicators-imports" onClick={() => setOpen('imports')}><History size={15} aria-hidden />{t('indicator.imports')}</Button>
            <Button why={why} data-test="indicators-import" onClick={() => setOpen('import')}><Upload size={15} aria-hidden />{t('indicator.import')}</Button>
            <Button variant="primary" why={why} data-test="indicators-add" onClick={() => setOpen('add')}><Plus size={15} aria-hidden />{t('indicator.add')}</Button>
          </>
        }
        filters={
          <>
            <SearchField label={t('columns.value')} value={filters.text} onChange={setText} />
            <Select shown={false} label={t('columns.kind')} value={filters.kind} active={filters.kind !== ''} onChange={(kind) => set({ kind })}
              choices={[{ value: '', label: t('filters.anyKind') }, ...indicatorKinds.map((one) => ({ value: one, label: t(`indicatorKind.${one}`) }))]} />
            <Select shown={false} label={t('columns.action')} value={filters.action} active={filters.action !== ''} onChange={(action) => set({ action })}
              choices={[{ value: '', label: t('filters.anyAction') }, ...indicatorActions.map((one) => ({ value: one, label: t(`indicatorState.${one}`) }))]} />
          </>
        }
      />
      {open === 'add' ? <AddIndicator onClose={close} /> : null}
      {open === 'import' ? <ImportIndicators onClose={close} /> : null}
      {open === 'imports' ? <Imports why={why} onClose={close} /> : null}
      {open === 'feeds' ? <Feeds why={why} onClose={close} /> : null}
      {open === 'looks' ? <Looks onClose={close} /> : null}
      {open === 'why' ? <Why value={filters.text} onClose={close} /> : null}
      {open !== null && typeof open === 'object' ? <Reach indicator={open} onClose={close} /> : null}
    </>
  );
}

const CHECKS: Record<IndicatorKind, RegExp> = {
  fileSha256: /^[0-9a-f]{64}$/i, fileSha1: /^[0-9a-f]{40}$/i, fileMd5: /^[0-9a-f]{32}$/i, senderAddress: /^[^\s@]+@[^\s@]+$/, senderDomain: /^[^\s@/]+\.[^\s@/]+$/, url: /^https?:\/\/\S+$/i,
  domain: /^[^\s@/]+\.[^\s@/]+$/, ip: /^[0-9a-f:.]+$/i, cidr: /^[0-9a-f:.]+\/\d{1,3}$/i,
  certificateSha256: /^[0-9a-f]{64}$/i, subjectPattern: /^(?=(?:.*[^*?\s]){3}).{1,256}$/,
};
const DAYS = ['30', '90', '365', ''] as const;

function AddIndicator({ onClose }: { onClose: () => void }) {
  const { t } = useT();
  const toast = useToast();
  const order = useOrder();
  const [kind, setKind] = useState<IndicatorKind>('fileSha256');
  const [action, setAction] = useState<IndicatorAction>('block');
  const [value, setValue] = useState('');
  const [note, setNote] = useState('');
  const [days, setDays] = useState<string>('90');
  const [scope, setScope] = useState(EVERYWHERE);
  const clean = value.trim();
  const bad = clean && !CHECKS[kind].test(clean) ? t(`indicator.bad.${kind}`) : null;
  const save = () =>
    order.mutate(
      {
        reason: note.trim(),
        spec: {
          kind: 'add_indicator',
          indicator: {
            kind, action, value: clean.toLowerCase() === clean || kind === 'url' ? clean : clean.toLowerCase(), severity: 'medium', note: note.trim(), scope: scopeOf(scope),
            expires_at: days ? new Date(Date.now() + Number(days) * 86_400_000).toISOString() : null,
          },
        },
      },
      { onSuccess: () => { toast.ok(t('indicator.added')); onClose(); }, onError: toast.failed },
    );
  return (
    <Dialog open onClose={onClose} title={t('indicator.add')} description={t('indicator.addHint')} confirm={t('indicator.add')} busy={order.isPending}
      why={!clean ? t('indicator.valueMissing') : bad ?? (!note.trim() && t('actions.reasonMissing'))} onConfirm={save}>
      <Select label={t('columns.kind')} value={kind} onChange={(next) => setKind(next as IndicatorKind)} choices={indicatorKinds.map((one) => ({ value: one, label: t(`indicatorKind.${one}`) }))} />
      <Field label={t('columns.value')} value={value} onChange={(event) => setValue(event.target.value)} error={bad} className="input mono" hint={kind === 'subjectPattern' ? t('indicator.subjectHint') : kind === 'certificateSha256' ? t('indicator.notEnforced') : undefined} />
      <Select label={t('columns.action')} value={action} onChange={(next) => setAction(next as IndicatorAction)} choices={indicatorActions.map((one) => ({ value: one, label: t(`indicatorState.${one}`) }))} />
      <Select label={t('columns.expires')} value={days} onChange={setDays} choices={DAYS.map((one) => ({ value: one, label: one ? t('words.days', { count: Number(one) }) : t('words.never') }))} />
      <ScopeFields scope={scope} onChange={setScope} />
      <TextArea label={t('actions.reason')} value={note} onChange={setNote} />
    </Dialog>
  );
}
