// A virtualised list of records: j/k move, Enter opens, x selects, Shift+x selects a range.
import { ArrowDown, ArrowUp } from 'lucide-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import { useT } from '../i18n';
import { isTyping, lettersOn, useKeys } from '../lib/keys';
import { number } from '../lib/time';

export interface Column<T> {
  id: string;
  head: string;
  /** A CSS grid track. */
  width: string;
  cell: (row: T) => ReactNode;
  end?: boolean;
  /** Server's name of the order, ascending; `-name` is descending. */
  sort?: string;
  /** Hidden when the grid is narrower than this. */
  from?: number;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  total?: number;
  rowKey: (row: T) => string;
  rowName: (row: T) => string;
  onOpen?: (row: T) => void;
  /** A click or a move shows the row beside the list. */
  onPeek?: (row: T) => void;
  current?: string | null;
  selected?: ReadonlySet<string>;
  onSelected?: (selected: Set<string>) => void;
  sort?: string;
  onSort?: (sort: string) => void;
  hasMore?: boolean;
  loadMore?: () => void;
  rowHeight?: number;
  maxHeight?: string;
}

const PREFETCH_ROWS = 20;
const GAP_PX = 10;
const PADDING_PX = 32;
const PICK_PX = 22;

/** The narrowest the tracks can be together: head and rows must agree, or their columns part ways. */
function leastWidth(tracks: string[], pick: boolean): number {
  const sum = tracks.reduce((total, track) => total + Number(/(\d+)px/.exec(track)?.[1] ?? 0), 0);
  return sum + (tracks.length - 1) * GAP_PX + PADDING_PX + (pick ? PICK_PX + GAP_PX : 0);
}

export function useWidth(ref: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = () => setWidth(element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}

export function Grid<T>(props: Props<T>) {
  const { rows, rowKey, onOpen, onPeek, selected, onSelected, sort, onSort, hasMore, loadMore, rowHeight = 40 } = props;
  const { t, language } = useT();
  const scroll = useRef<HTMLDivElement>(null);
  const width = useWidth(scroll);
  const [cursor, setCursor] = useState(0);
  const wantFocus = useRef(false);
  const anchor = useRef(0);
  const columns = props.columns.filter((column) => !column.from || width === 0 || width >= column.from);
  const tracks = `${onSelected ? '22px ' : ''}${columns.map((column) => column.width).join(' ')}`;
  const minWidth = leastWidth(columns.map((column) => column.width), Boolean(onSelected));
  const at = Math.min(cursor, Math.max(0, rows.length - 1));

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 8,
    initialRect: { width: 1000, height: 800 },
    scrollPaddingStart: 36,
  });
  const shown = virtual.getVirtualItems();
  const lastShown = shown[shown.length - 1]?.index ?? 0;

  useEffect(() => {
    if (hasMore && lastShown >= rows.length - PREFETCH_ROWS) loadMore?.();
  }, [hasMore, lastShown, rows.length, loadMore]);

  useEffect(() => {
    if (!wantFocus.current) return;
    const element = scroll.current?.querySelector<HTMLElement>(`[data-index="${at}"]`);
    if (element) {
      element.focus({ preventScroll: true });
      wantFocus.current = false;
    }
  });

  const move = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    wantFocus.current = true;
    setCursor(next);
    virtual.scrollToIndex(next);
    const row = rows[next];
    if (row && onPeek && props.current) onPeek(row);
  };

  const toggle = (index: number, range: boolean) => {
    if (!onSelected || !selected) return;
    const next = new Set(selected);
    const [from, to] = range ? [Math.min(anchor.current, index), Math.max(anchor.current, index)] : [index, index];
    const on = !next.has(rowKey(rows[index]!));
    for (let i = from; i <= to; i += 1) {
      if (on) next.add(rowKey(rows[i]!));
      else next.delete(rowKey(rows[i]!));
    }
    anchor.current = index;
    onSelected(next);
  };

  const acts: Record<string, (range: boolean) => void> = {
    j: () => move(at + 1),
    k: () => move(at - 1),
    x: (range) => toggle(at, range),
    X: (range) => toggle(at, range),
  };
  const others: Record<string, () => void> = {
    ArrowDown: () => move(at + 1),
    ArrowUp: () => move(at - 1),
    PageDown: () => move(at + 15),
    PageUp: () => move(at - 15),
    Home: () => move(0),
    End: () => move(rows.length - 1),
    Enter: () => rows[at] && (onOpen ?? onPeek)?.(rows[at]),
    ' ': () => toggle(at, false),
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLAnchorElement && event.key === 'Enter') return;
    const act: ((range: boolean) => void) | undefined = others[event.key] ?? (lettersOn() ? acts[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    act(event.shiftKey);
  };
  // the letters also work while nothing in particular has the focus
  useKeys({ j: () => move(wantedStart()), k: () => move(at - 1), x: () => toggle(at, false) });
  const wantedStart = () => (scroll.current?.contains(document.activeElement) ? at + 1 : at);

  const all = onSelected && rows.length > 0 && rows.every((row) => selected?.has(rowKey(row)));
  return (
    <div className="grid" style={{ maxHeight: props.maxHeight, flex: props.maxHeight ? undefined : 1 }}>
      <div className="grid-scroll" ref={scroll} role="grid" aria-label={props.label} aria-rowcount={(props.total ?? rows.length) + 1}
        aria-multiselectable={onSelected ? true : undefined} onKeyDown={onKeyDown}>
        <div role="rowgroup" style={{ position: 'sticky', top: 0, zIndex: 3, minWidth }}>
          <div className="grid-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: tracks }}>
            {onSelected ? (
              <span role="columnheader" className="pick">
                <input type="checkbox" className="checkbox" checked={Boolean(all)} aria-label={t('grid.selectAll')}
                  onChange={() => onSelected(new Set(all ? [] : rows.map(rowKey)))} />
              </span>
            ) : null}
            {columns.map((column) => {
              const up = column.sort && sort === column.sort;
              const down = column.sort && sort === `-${column.sort}`;
              return (
                <span key={column.id} role="columnheader" className={column.end ? 'end' : ''} aria-sort={up ? 'ascending' : down ? 'descending' : undefined}>
                  {column.sort && onSort ? (
                    <button type="button" onClick={() => onSort(down ? column.sort! : `-${column.sort}`)}>
                      {column.head}
                      {up ? <ArrowUp size={12} aria-hidden /> : down ? <ArrowDown size={12} aria-hidden /> : null}
                    </button>
                  ) : (
                    column.head
                  )}
                </span>
              );
            })}
          </div>
        </div>
        <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: 'relative', minWidth }}>
          {shown.map((item) => {
            const row = rows[item.index]!;
            const key = rowKey(row);
            const isSelected = selected?.has(key);
            return (
              <div
                key={key}
                role="row"
                className="grid-row"
                data-index={item.index}
                data-link={Boolean(onOpen || onPeek)}
                data-current={props.current === key || undefined}
                aria-rowindex={item.index + 2}
                aria-selected={onSelected ? Boolean(isSelected) : undefined}
                tabIndex={item.index === at ? 0 : -1}
                style={{ gridTemplateColumns: tracks, height: rowHeight, position: 'absolute', top: 0, left: 0, transform: `translateY(${item.start}px)` }}
                onFocus={() => setCursor(item.index)}
                onClick={(event) => {
                  if (event.target instanceof Element && event.target.closest('a,button,input')) return;
                  setCursor(item.index);
                  (onPeek ?? onOpen)?.(row);
                }}
                onDoubleClick={() => onOpen?.(row)}
              >
                {onSelected ? (
                  <span role="gridcell" className="pick">
                    <input type="checkbox" className="checkbox" tabIndex={-1} checked={Boolean(isSelected)}
                      aria-label={t('grid.select', { name: props.rowName(row) })}
                      onClick={(event) => toggle(item.index, event.shiftKey)} onChange={() => {}} />
                  </span>
                ) : null}
                {columns.map((column) => (
                  <span key={column.id} role="gridcell" className={column.end ? 'end' : ''}>
                    {column.cell(row)}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      <div className="grid-foot">
        {t('grid.shown', { shown: number(rows.length, language), total: number(props.total ?? rows.length, language) })}
      </div>
    </div>
  );
}
