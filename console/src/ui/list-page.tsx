// The common frame of a list: filters, states, grid.
import type { ReactNode } from 'react';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { Button } from './button';
import { Grid, type Column } from './grid';
import { Empty, EmptyFiltered, ErrorState, Skeleton, Stale } from './states';
import type { useList } from '../api/queries';

interface Props<T> {
  title: string;
  buttons?: ReactNode;
  list: ReturnType<typeof useList<T>>;
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
}

export function ListPage<T>(props: Props<T>) {
  const { t } = useT();
  const { list } = props;
  const items = list.items;
  return (
    <Page title={props.title} buttons={props.buttons} full>
      {props.filters ? (
        <div className="filters" role="search" aria-label={t('filters.label')}>
          {props.filters}
          {props.filtered ? <Button variant="text" onClick={props.clear}>{t('states.clearFilters')}</Button> : null}
        </div>
      ) : null}
      <div className="queue">
        <div className="grid" style={{ minHeight: 0 }}>
          <Stale query={list} />
          {!items ? (
            list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Skeleton rows={12} height={22} />
          ) : items.length === 0 ? (
            props.filtered ? <EmptyFiltered onClear={props.clear} /> : <Empty title={props.empty.title} action={props.empty.action}>{props.empty.hint}</Empty>
          ) : (
            <Grid label={props.title} columns={props.columns} rows={items} total={list.total || items.length} rowKey={props.rowKey} rowName={props.rowName}
              onOpen={props.onOpen} sort={props.sort} onSort={props.onSort}
              hasMore={list.hasNextPage && !list.isFetchingNextPage} loadMore={() => void list.fetchNextPage()} />
          )}
        </div>
      </div>
    </Page>
  );
}
