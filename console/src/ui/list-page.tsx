// The common frame of a list: filters, states, grid.
import { useEffect, useState, type ReactNode } from 'react';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { number } from '../lib/time';
import { Button } from './button';
import { Grid, type Column } from './grid';
import { ListTools, useHidden, type Source } from './list-tools';
import { Empty, EmptyFiltered, ErrorState, Skeleton, Stale } from './states';
import type { useList } from '../api/queries';

/** Rows that can be selected at once. */
const SELECT_MAX = 2_000;

interface Props<T> {
  title: string;
  buttons?: ReactNode;
  list: ReturnType<typeof useList<T>>;
  /** Where the list comes from, for the export. */
  source: Source;
  columns: Column<T>[];
  rowKey: (row: T) => string;
  rowName: (row: T) => string;
  onOpen?: (row: T) => void;
  filters?: ReactNode;
  filtered: boolean;
  clear: () => void;
  empty: { title: string; hint: string; action?: ReactNode };
  sort?: string;
  onSort?: (sort: string) => void;
  /** What can be done with selected rows; without it nothing can be selected. */
  bulk?: (selected: T[], clear: () => void) => ReactNode;
}

export function ListPage<T>(props: Props<T>) {
  const { t, language } = useT();
  const { list } = props;
  const items = list.items;
  const [hidden] = useHidden();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [all, setAll] = useState(false);
  const chosen = (items ?? []).filter((row) => all || selected.has(props.rowKey(row)));
  const clear = () => {
    setSelected(new Set());
    setAll(false);
  };
  // everything that matches is fetched before anything is done to it
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = list;
  const loading = all && hasNextPage && (items?.length ?? 0) < SELECT_MAX;
  useEffect(() => {
    if (loading && !isFetchingNextPage) void fetchNextPage();
  }, [loading, isFetchingNextPage, fetchNextPage]);
  const asked = JSON.stringify(props.source);
  useEffect(clear, [asked]);
  const total = list.total || (items?.length ?? 0);
  const shown = props.columns.filter((column) => !hidden.has(column.id));
  return (
    <Page title={props.title} buttons={props.buttons} full>
      <div className="filters">
        <div className="filters grow" role="search" aria-label={t('filters.label')}>
          {props.filters}
          {props.filtered ? <Button variant="text" onClick={props.clear}>{t('states.clearFilters')}</Button> : null}
        </div>
        <ListTools source={props.source} columns={props.columns} />
      </div>
      <div className="queue">
        <div className="grid" style={{ minHeight: 0 }}>
          <Stale query={list} />
          {!items ? (
            list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Skeleton rows={12} height={22} />
          ) : items.length === 0 ? (
            props.filtered ? <EmptyFiltered onClear={props.clear} /> : <Empty title={props.empty.title} action={props.empty.action}>{props.empty.hint}</Empty>
          ) : (
            <Grid label={props.title} columns={shown.length > 0 ? shown : props.columns} rows={items} total={total} rowKey={props.rowKey} rowName={props.rowName}
              onOpen={props.onOpen} sort={props.sort} onSort={props.onSort}
              selected={props.bulk ? new Set(chosen.map(props.rowKey)) : undefined} onSelected={props.bulk ? (next) => { setSelected(next); setAll(false); } : undefined}
              hasMore={list.hasNextPage && !list.isFetchingNextPage} loadMore={() => void list.fetchNextPage()} />
          )}
          {props.bulk && chosen.length > 0 ? (
            <div className="bulk" role="region" aria-label={t('grid.bulk')}>
              <span className="grow" role="status">{loading ? t('states.loading') : t('grid.selected', { count: chosen.length })}</span>
              {!all && total > chosen.length ? <Button compact variant="quiet" onClick={() => setAll(true)} data-test="select-all-matching">{t('explorer.selectAll', { count: number(total, language) })}</Button> : null}
              {loading ? null : props.bulk(chosen, clear)}
              <Button compact variant="quiet" onClick={clear}>{t('grid.clear')}</Button>
            </div>
          ) : null}
        </div>
      </div>
    </Page>
  );
}
