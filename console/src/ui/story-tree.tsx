// The alert story: role=tree with a roving focus, virtualised, arrow keys and type-ahead.
import { useVirtualizer } from '@tanstack/react-virtual';
import { ChevronDown, ChevronRight, Cog, FileText, Mail, Network, TerminalSquare, UserRound, type LucideIcon } from 'lucide-react';
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import type { StoryNode, StoryNodeKind } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { forest, openByDefault, visibleRows, type Row } from '../lib/tree';
import { SeverityChip, TechniqueChip } from './chips';
import { Clock } from './time';

const ROW_PX = 44;
const TYPE_AHEAD_MS = 700;
const MAX_PX = 620;

const KINDS: Record<StoryNodeKind, LucideIcon> = { process: Cog, file: FileText, network: Network, mail: Mail, user: UserRound };
const SHELLS = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'cmd.exe', 'powershell.exe', 'pwsh', 'python3', 'perl']);

export function StoryTree({ nodes, label, selected, onSelect }: {
  nodes: StoryNode[]; label: string; selected: string | null; onSelect: (node: StoryNode) => void;
}) {
  const trees = useMemo(() => forest(nodes), [nodes]);
  const [changed, setChanged] = useState<Map<string, boolean>>(new Map());
  const open = useMemo(() => {
    const set = openByDefault(trees);
    for (const [key, on] of changed) {
      if (on) set.add(key);
      else set.delete(key);
    }
    return set;
  }, [trees, changed]);
  const rows = useMemo(() => visibleRows(trees, open), [trees, open]);
  const scroll = useRef<HTMLDivElement>(null);
  const [focus, setFocus] = useState<string | null>(null);
  const wantFocus = useRef(false);
  const typed = useRef({ text: '', at: 0 });
  const at = Math.max(0, rows.findIndex((row) => row.node.key === (focus ?? selected)));

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: 10,
    initialRect: { width: 900, height: MAX_PX },
  });

  useEffect(() => {
    if (!wantFocus.current) return;
    const element = scroll.current?.querySelector<HTMLElement>(`[data-index="${at}"]`);
    if (element) {
      element.focus({ preventScroll: true });
      wantFocus.current = false;
    }
  });

  const go = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!row) return;
    wantFocus.current = true;
    setFocus(row.node.key);
    virtual.scrollToIndex(rows.indexOf(row));
  };
  const toggle = (row: Row, on: boolean) => setChanged((now) => new Map(now).set(row.node.key, on));
  const parentOf = (index: number) => {
    const level = rows[index]!.level;
    for (let i = index - 1; i >= 0; i -= 1) if (rows[i]!.level < level) return i;
    return index;
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts: Record<string, () => void> = {
      ArrowDown: () => go(at + 1),
      ArrowUp: () => go(at - 1),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      ArrowRight: () => (row.children && !row.expanded ? toggle(row, true) : row.expanded && go(at + 1)),
      ArrowLeft: () => (row.expanded ? toggle(row, false) : go(parentOf(at))),
      Enter: () => onSelect(row.node),
      ' ': () => onSelect(row.node),
      '*': () => rows.filter((other) => other.level === row.level && other.children).forEach((other) => toggle(other, true)),
    };
    const act = acts[event.key];
    if (act) {
      act();
    } else if (event.key.length === 1) {
      const now = Date.now();
      typed.current = { text: now - typed.current.at < TYPE_AHEAD_MS ? typed.current.text + event.key : event.key, at: now };
      const wanted = typed.current.text.toLowerCase();
      const order = [...rows.slice(at + (wanted.length === 1 ? 1 : 0)), ...rows.slice(0, at + 1)];
      const found = order.find((other) => other.node.name.toLowerCase().startsWith(wanted));
      if (!found) return;
      go(rows.indexOf(found));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div ref={scroll} style={{ overflow: 'auto', maxHeight: MAX_PX }}>
      <div className="tree" role="tree" aria-label={label} onKeyDown={onKeyDown} style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map((item) => (
          <TreeRow key={rows[item.index]!.node.key} row={rows[item.index]!} index={item.index} top={item.start} focusable={item.index === at}
            selected={rows[item.index]!.node.key === selected}
            onToggle={(on) => toggle(rows[item.index]!, on)}
            onSelect={() => { setFocus(rows[item.index]!.node.key); onSelect(rows[item.index]!.node); }} />
        ))}
      </div>
    </div>
  );
}

function TreeRow({ row, index, top, focusable, selected, onToggle, onSelect }: {
  row: Row; index: number; top: number; focusable: boolean; selected: boolean; onToggle: (on: boolean) => void; onSelect: () => void;
}) {
  const { t, text } = useT();
  const { node } = row;
  const Icon = node.kind === 'process' && SHELLS.has(node.name) ? TerminalSquare : KINDS[node.kind];
  return (
    <div role="treeitem" aria-level={row.level} aria-posinset={row.position} aria-setsize={row.setSize} aria-selected={selected}
      aria-expanded={row.children ? row.expanded : undefined} tabIndex={focusable ? 0 : -1} data-index={index}
      className={`tree-row ${node.severity ? 'alerted' : ''}`} onClick={onSelect}
      style={{ position: 'absolute', top: 0, left: 0, right: 0, transform: `translateY(${top}px)` }}>
      <span className="guides" aria-hidden>
        {row.guides.map((line, level) => (level === 0 ? null : <i key={level} className={line ? 'line' : ''} />))}
        {row.level > 1 ? <i className={`branch ${row.last ? 'last' : ''}`} /> : null}
      </span>
      {row.children ? (
        <span className="toggle" aria-hidden onClick={(event) => { event.stopPropagation(); onToggle(!row.expanded); }}>
          {row.expanded ? <ChevronDown size={15} /> : <ChevronRight size={15} />}
        </span>
      ) : (
        <span className="toggle" aria-hidden />
      )}
      <span className="kind" title={t(`storyKind.${node.kind}`)}><Icon size={17} aria-label={t(`storyKind.${node.kind}`)} role="img" /></span>
      <span className="name" title={visible(node.name)}>{visible(node.name)}</span>
      <span className="command mono truncate hide-phone" title={visible(node.command_line ?? '')}>
        {visible(node.command_line ?? node.facts.path ?? node.facts.address ?? '')}
      </span>
      <span className="end">
        {row.hidden > 0 ? <span className="small secondary">{t('tree.hidden', { count: row.hidden })}</span> : null}
        {node.technique ? <TechniqueChip id={node.technique} /> : null}
        {node.severity ? <span title={text(node.detection)}><SeverityChip severity={node.severity} /></span> : null}
        <span className="small secondary hide-phone"><Clock at={node.at} /></span>
      </span>
    </div>
  );
}
