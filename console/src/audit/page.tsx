import { Download, ShieldCheck, ShieldX } from 'lucide-react';
import { useCallback, useMemo, useState } from 'react';
import { useCan, useGet, useList } from '../api/queries';
import type { AuditRecord, AuditVerification } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { useFilters } from '../lib/filters';
import { number } from '../lib/time';
import { Page } from '../frame/page';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Facts, SearchField } from '../ui/field';
import type { Column } from '../ui/grid';
import { ListPage } from '../ui/list-page';
import { Empty } from '../ui/states';
import { Time } from '../ui/time';
import '../styles/pages.css';

const DEFAULTS = { actor: '', action: '', target: '' };

export default function AuditPage() {
  const { t } = useT();
  const may = useCan('audit');
  if (!may) {
    return (
      <Page title={t('nav.audit')}>
        <div className="card"><Empty title={t('states.forbidden')}>{t('states.needRole', { role: `${t('role.auditor')} / ${t('role.administrator')}` })}</Empty></div>
      </Page>
    );
  }
  return <Log />;
}

function Log() {
  const { t, language } = useT();
  const { filters, set, clear, active } = useFilters(DEFAULTS);
  const list = useList<AuditRecord>('/audit', filters);
  const chain = useGet<AuditVerification>('/audit/verify');
  const [chosen, setChosen] = useState<AuditRecord | null>(null);
  const setActor = useCallback((actor: string) => set({ actor }), [set]);
  const setAction = useCallback((action: string) => set({ action }), [set]);
  const setTarget = useCallback((target: string) => set({ target }), [set]);
  const columns = useMemo<Column<AuditRecord>[]>(() => [
    { id: 'seq', head: '#', width: '56px', end: true, cell: (row) => <span className="num secondary">{row.seq}</span> },
    { id: 'at', head: t('columns.time'), width: '170px', cell: (row) => <Time at={row.at} /> },
    { id: 'actor', head: t('columns.who'), width: '160px', cell: (row) => <span className="strong">{visible(row.actor)}</span> },
    { id: 'action', head: t('columns.action'), width: '170px', cell: (row) => <code>{visible(row.action)}</code> },
    { id: 'target', head: t('columns.target'), width: 'minmax(200px, 1fr)', from: 760, cell: (row) => <span className="mono">{visible(row.target)}</span> },
    { id: 'address', head: t('columns.address'), width: '140px', from: 960, cell: (row) => visible(row.address) || '—' },
    { id: 'result', head: t('columns.result'), width: '130px', from: 620, cell: (row) => row.result === 'ok' ? <Chip tone="ok">ok</Chip> : <Chip tone="high" title={visible(row.result)}>{visible(row.result)}</Chip> },
  ], [t]);
  return (
    <>
      <ListPage title={t('nav.audit')} list={list} source={{ route: '/audit', query: filters }} columns={columns} rowKey={(row) => String(row.seq)} rowName={(row) => row.action}
        onOpen={setChosen} filtered={active.length > 0} clear={clear} empty={{ title: t('audit.none'), hint: t('audit.noneHint') }}
        buttons={
          <>
            {chain.data ? (
              chain.data.intact
                ? <Chip tone="ok"><ShieldCheck size={14} aria-hidden />{t('audit.intact', { count: number(chain.data.records, language) })}</Chip>
                : <Chip tone="high"><ShieldX size={14} aria-hidden />{t('audit.broken', { seq: chain.data.first_bad ?? '?' })}</Chip>
            ) : null}
            <a className="button" href="/api/v1/audit/export" download><Download size={15} aria-hidden />{t('audit.export')}</a>
          </>
        }
        filters={
          <>
            <SearchField label={t('columns.who')} value={filters.actor} onChange={setActor} />
            <SearchField label={t('columns.action')} value={filters.action} onChange={setAction} />
            <SearchField label={t('columns.target')} value={filters.target} onChange={setTarget} />
          </>
        }
      />
      <Dialog open={chosen !== null} onClose={() => setChosen(null)} title={chosen ? `#${chosen.seq} ${chosen.action}` : ''}>
        {chosen ? (
          <>
            <Facts rows={[
              [t('columns.time'), <Time key="t" at={chosen.at} />], [t('columns.who'), visible(chosen.actor)], [t('columns.target'), visible(chosen.target)],
              [t('columns.address'), visible(chosen.address) || '—'], [t('columns.result'), visible(chosen.result)],
              [t('audit.hash'), <code key="h" className="wrap">{chosen.hash}</code>], [t('audit.previous'), <code key="p" className="wrap">{chosen.previous_hash}</code>],
            ]} />
            <pre className="copy" style={{ margin: 0 }}>{visible(pretty(chosen.detail))}</pre>
            <div className="buttons"><Button onClick={() => setChosen(null)}>{t('words.close')}</Button></div>
          </>
        ) : null}
      </Dialog>
    </>
  );
}

function pretty(detail: string): string {
  try {
    return JSON.stringify(JSON.parse(detail), null, 2);
  } catch {
    return detail;
  }
}
