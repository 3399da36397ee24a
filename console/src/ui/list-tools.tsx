// What every list offers besides its filters: saved views, columns, export of everything that matches.
import { Bookmark, Columns3, Download, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { get, type Query } from '../api/client';
import type { Listed, Route } from '../api/types';
import { useT } from '../i18n';
import { download, table } from '../lib/export';
import { useLocation, useSearchParams } from '../lib/router';
import { number } from '../lib/time';
import { loadViews, NAME_MAX, saveViews, viewOf, withView } from '../lib/views';
import { Button } from './button';
import { Dialog } from './dialog';
import { Field } from './field';
import { Menu } from './menu';
import { useToast } from './toast';

/** Rows of one export, and of one request. */
const EXPORT_MAX = 10_000;
const PAGE = 200;

/** Where the rows of a list come from. */
export interface Source { route: Route; query?: Query }

export function ListTools({ source, columns }: { source: Source; columns?: { id: string; head: string }[] }) {
  return (
    <div className="row list-tools">
      <Views />
      {columns ? <ColumnChoice columns={columns} /> : null}
      <Export {...source} />
    </div>
  );
}

function Views() {
  const { t } = useT();
  const { pathname, search } = useLocation();
  const [views, setViews] = useState(() => loadViews(pathname));
  const [open, setOpen] = useState(false);
  const [name, setName] = useState('');
  const current = viewOf(search);
  const keep = (next: typeof views) => {
    setViews(next);
    saveViews(pathname, next);
  };
  const shown = views.find((one) => one.search === current);
  return (
    <>
      <Menu label={t('views.title')}
        trigger={<Button compact variant="quiet" title={t('views.title')} data-test="views"><Bookmark size={14} aria-hidden /><span className="hide-phone">{shown ? shown.name : t('views.title')}</span></Button>}
        items={[
          ...views.map((one) => ({ label: one.name, to: `${pathname}${one.search ? `?${one.search}` : ''}`, test: 'view' })),
          ...(views.length > 0 ? ['line' as const] : []),
          { label: t('views.keep'), onSelect: () => { setName(shown?.name ?? ''); setOpen(true); }, test: 'view-save' },
        ]} />
      <Dialog open={open} onClose={() => setOpen(false)} title={t('views.keep')} description={t('views.hint')} confirm={t('words.save')} why={!name.trim() && t('views.nameMissing')} test="view-confirm"
        onConfirm={() => { keep(withView(views, { name, search: current })); setOpen(false); }}>
        <Field label={t('columns.name')} value={name} maxLength={NAME_MAX} onChange={(event) => setName(event.target.value)} data-test="view-name" autoFocus />
        {views.length > 0 ? (
          <ul className="column" style={{ gap: 4 }}>{views.map((one) => (
            <li key={one.name} className="spread"><span className="wrap">{one.name}</span><Button compact variant="quiet" icon aria-label={t('views.drop', { name: one.name })} onClick={() => keep(views.filter((other) => other !== one))}><Trash2 size={14} aria-hidden /></Button></li>
          ))}</ul>
        ) : null}
      </Dialog>
    </>
  );
}

/** Columns that are not shown, by the address. */
export function useHidden(): [ReadonlySet<string>, (hidden: ReadonlySet<string>) => void] {
  const [params, setParams] = useSearchParams();
  const hidden = new Set((params.get('hide') ?? '').split(',').filter(Boolean));
  const set = (next: ReadonlySet<string>) => setParams((now) => {
    if (next.size > 0) now.set('hide', [...next].join(','));
    else now.delete('hide');
    return now;
  }, { replace: true });
  return [hidden, set];
}

function ColumnChoice({ columns }: { columns: { id: string; head: string }[] }) {
  const { t } = useT();
  const [hidden, setHidden] = useHidden();
  const [open, setOpen] = useState(false);
  const toggle = (id: string) => {
    const next = new Set(hidden);
    if (!next.delete(id)) next.add(id);
    setHidden(next);
  };
  return (
    <>
      <Button compact variant="quiet" title={t('views.columns')} aria-label={t('views.columns')} onClick={() => setOpen(true)} data-test="columns"><Columns3 size={14} aria-hidden /></Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={t('views.columns')} description={t('views.columnsHint')}>
        <div className="column" style={{ gap: 6 }}>
          {columns.map((one) => (
            <label key={one.id} className="row"><input type="checkbox" className="checkbox" checked={!hidden.has(one.id)} onChange={() => toggle(one.id)} data-test={`column-${one.id}`} />{one.head}</label>
          ))}
        </div>
        <div className="buttons"><Button variant="primary" onClick={() => setOpen(false)}>{t('words.close')}</Button></div>
      </Dialog>
    </>
  );
}

function Export({ route, query }: Source) {
  const { t, language } = useT();
  const toast = useToast();
  const [busy, setBusy] = useState(false);
  const run = async (kind: 'csv' | 'json') => {
    setBusy(true);
    try {
      const items: object[] = [];
      let cursor: string | undefined;
      do {
        const page = await get<Listed<object>>(route, { query: { ...query, limit: PAGE, cursor } });
        items.push(...page.items);
        cursor = page.next ?? undefined;
      } while (cursor && items.length < EXPORT_MAX);
      const name = `hinomi-${route.slice(1).replaceAll('/', '-')}.${kind}`;
      if (kind === 'json') download(name, 'application/json', JSON.stringify(items, null, 2));
      else download(name, 'text/csv', table(items, language));
      toast.ok(t(cursor ? 'views.exportedPart' : 'views.exported', { count: number(items.length, language) }));
    } catch (error) {
      toast.failed(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Menu label={t('views.export')}
      trigger={<Button compact variant="quiet" busy={busy} title={t('views.export')} data-test="export"><Download size={14} aria-hidden /><span className="hide-phone">{t('views.export')}</span></Button>}
      items={[{ label: 'CSV', onSelect: () => void run('csv'), test: 'export-csv' }, { label: 'JSON', onSelect: () => void run('json'), test: 'export-json' }]} />
  );
}
