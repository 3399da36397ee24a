// The evidence graph. Text keeps its size: the canvas is moved, and enlarged but never shrunk.
import { Crosshair, Minus, MoveLeft, MoveRight, Plus } from 'lucide-react';
import { useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import type { Evidence, GraphEdge } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { buildGraph, layout, NODE_HEIGHT, NODE_WIDTH, type GraphNode } from '../lib/graph';
import { Button } from './button';
import { Chip, RemediationChip, VerdictChip } from './chips';
import { EntityLink } from './entity';
import { EntityIcon } from './icons';
import { Empty } from './states';

const ZOOM = { min: 1, max: 2, step: 0.25 };
const PAN_PX = 120;

type Point = { x: number; y: number };

function curve(points: Point[]): string {
  if (points.length < 2) return '';
  const [first, ...rest] = points as [Point, ...Point[]];
  let path = `M${first.x},${first.y}`;
  for (let i = 0; i < rest.length - 1; i += 1) {
    const point = rest[i]!;
    const next = rest[i + 1]!;
    const end = i === rest.length - 2 ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    path += ` Q${point.x},${point.y} ${end.x},${end.y}`;
  }
  if (rest.length === 1) path += ` L${rest[0]!.x},${rest[0]!.y}`;
  return path;
}

export interface GraphProps {
  evidence: Evidence[];
  edges: GraphEdge[];
  selected: string | null;
  onSelect: (entity: string) => void;
  listOnly?: boolean;
  /** Better names than the keys carry, for example of devices. */
  names?: (kind: string, value: string) => string | undefined;
}

export default function EvidenceGraph({ evidence, edges, selected, onSelect, listOnly, names }: GraphProps) {
  const { t, text } = useT();
  const graph = useMemo(() => buildGraph(evidence, edges), [evidence, edges]);
  const plan = useMemo(() => layout(graph), [graph]);
  const [view, setView] = useState({ x: 0, y: 0, zoom: 1 });
  const [dragging, setDragging] = useState(false);
  const drag = useRef<{ from: Point; view: Point } | null>(null);
  const box = useRef<HTMLDivElement>(null);

  if (graph.nodes.length === 0) return <Empty title={t('graph.none')} />;
  if (listOnly) return <GraphList nodes={graph.nodes} edges={graph.edges} />;

  const clamp = (x: number, y: number, zoom: number) => {
    const size = { width: box.current?.clientWidth ?? 800, height: box.current?.clientHeight ?? 460 };
    const slack = 60;
    const bound = (value: number, content: number, room: number) =>
      content <= room ? Math.max(0, Math.min(room - content, value)) : Math.min(slack, Math.max(room - content - slack, value));
    return { x: bound(x, plan.width * zoom, size.width), y: bound(y, plan.height * zoom, size.height), zoom };
  };
  const move = (dx: number, dy: number) => setView((now) => clamp(now.x + dx, now.y + dy, now.zoom));
  const zoom = (by: number) =>
    setView((now) => clamp(now.x, now.y, Math.max(ZOOM.min, Math.min(ZOOM.max, now.zoom + by))));

  const onPointerDown = (event: PointerEvent) => {
    if ((event.target as Element).closest('button')) return;
    drag.current = { from: { x: event.clientX, y: event.clientY }, view };
    box.current?.setPointerCapture(event.pointerId);
    setDragging(true);
  };
  const onPointerMove = (event: PointerEvent) => {
    const start = drag.current;
    if (!start) return;
    setView((now) => clamp(start.view.x + event.clientX - start.from.x, start.view.y + event.clientY - start.from.y, now.zoom));
  };
  const end = () => {
    drag.current = null;
    setDragging(false);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const acts: Record<string, () => void> = {
      ArrowLeft: () => move(PAN_PX, 0), ArrowRight: () => move(-PAN_PX, 0), ArrowUp: () => move(0, PAN_PX), ArrowDown: () => move(0, -PAN_PX),
      '+': () => zoom(ZOOM.step), '-': () => zoom(-ZOOM.step), '0': () => setView({ x: 0, y: 0, zoom: 1 }),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  const height = Math.max(240, Math.min(520, plan.height + 10));
  return (
    <div className="graph" ref={box} style={{ height }} data-dragging={dragging} role="group" aria-label={t('graph.label')} tabIndex={0}
      onPointerDown={onPointerDown} onPointerMove={onPointerMove} onPointerUp={end} onPointerCancel={end} onKeyDown={onKeyDown}
      onFocusCapture={(event) => {
        const node = plan.nodes.get((event.target as HTMLElement).dataset.node ?? '');
        const room = box.current;
        if (!node || !room) return;
        // the browser would scroll the box; the canvas moves instead
        room.scrollTo(0, 0);
        const [left, top] = [node.x * view.zoom + view.x, node.y * view.zoom + view.y];
        if (left < 0 || top < 0 || left + NODE_WIDTH > room.clientWidth || top + NODE_HEIGHT > room.clientHeight) {
          setView((now) => clamp(room.clientWidth / 2 - NODE_WIDTH / 2 - node.x * now.zoom, room.clientHeight / 2 - NODE_HEIGHT / 2 - node.y * now.zoom, now.zoom));
        }
      }}>
      <div className="canvas" style={{ width: plan.width, height: plan.height, transform: `translate(${view.x}px, ${view.y}px) scale(${view.zoom})` }}>
        <svg className="edges" width={plan.width} height={plan.height} aria-hidden>
          {plan.edges.map((edge, index) => {
            const tip = edge.points[edge.points.length - 1];
            const middle = edge.points[Math.floor(edge.points.length / 2)];
            return (
              <g key={index}>
                <path d={curve(edge.points)} />
                {tip ? <path className="arrow" d={`M${tip.x},${tip.y} l-7,-4 v8 z`} /> : null}
                {middle ? <text x={middle.x} y={middle.y - 5}>{visible(text(edge.label))}{edge.count > 1 ? ` ×${edge.count}` : ''}</text> : null}
              </g>
            );
          })}
        </svg>
        {graph.nodes.map((node) => {
          const place = plan.nodes.get(node.id)!;
          return (
            <Box key={node.id} node={node} x={place.x} y={place.y} pressed={node.members.includes(selected ?? '')} onSelect={() => onSelect(node.members[0]!)}
              name={node.kind === 'device' ? names?.(node.kind, node.id.slice(7)) : undefined} />
          );
        })}
      </div>
      <div className="tools">
        <Button variant="quiet" compact icon onClick={() => move(PAN_PX, 0)} aria-label={t('graph.left')}><MoveLeft size={15} aria-hidden /></Button>
        <Button variant="quiet" compact icon onClick={() => move(-PAN_PX, 0)} aria-label={t('graph.right')}><MoveRight size={15} aria-hidden /></Button>
        <Button variant="quiet" compact icon onClick={() => zoom(-ZOOM.step)} why={view.zoom <= ZOOM.min && t('graph.smallest')} aria-label={t('graph.smaller')}><Minus size={15} aria-hidden /></Button>
        <Button variant="quiet" compact icon onClick={() => zoom(ZOOM.step)} aria-label={t('graph.larger')}><Plus size={15} aria-hidden /></Button>
        <Button variant="quiet" compact icon onClick={() => setView({ x: 0, y: 0, zoom: 1 })} aria-label={t('graph.reset')}><Crosshair size={15} aria-hidden /></Button>
      </div>
    </div>
  );
}

function useNodeName() {
  const { t } = useT();
  return (node: GraphNode) => (node.members.length > 1 ? t(`entityCount.${node.kind}`, { count: node.members.length }) : visible(node.name));
}

function Box({ node, x, y, pressed, onSelect, name }: { node: GraphNode; x: number; y: number; pressed: boolean; onSelect: () => void; name?: string }) {
  const { t } = useT();
  const nameOf = useNodeName();
  const status = node.evidence?.remediation_status;
  const words = name && !node.evidence ? name : nameOf(node);
  return (
    <button type="button" className={`graph-node ${node.verdict}`} style={{ left: x, top: y }} aria-pressed={pressed} onClick={onSelect} data-node={node.id}
      title={words}>
      <span className={`icon ${node.verdict}`}><EntityIcon kind={node.kind} size={20} /></span>
      <span className="body">
        <b>{words}</b>
        <span>
          {t(`verdict.${node.verdict}`)}
          {status && status !== 'none' ? ` · ${t(`remediation.${status}`)}` : ''}
        </span>
      </span>
    </button>
  );
}

/** The graph in words: each entity and what it is connected with. */
function GraphList({ nodes, edges }: { nodes: GraphNode[]; edges: { from: string; to: string; label: { en: string; ja: string } }[] }) {
  const { t, text } = useT();
  const nameOf = useNodeName();
  const names = new Map(nodes.map((node) => [node.id, nameOf(node)]));
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead>
          <tr><th>{t('columns.entity')}</th><th>{t('columns.verdict')}</th><th>{t('columns.remediation')}</th><th>{t('graph.connections')}</th></tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.id}>
              <td>{node.members.length > 1 ? <span className="row"><EntityIcon kind={node.kind} size={14} />{nameOf(node)}</span> : <EntityLink entity={node.id} name={node.name} />}</td>
              <td><VerdictChip verdict={node.verdict} /></td>
              <td>{node.evidence ? <RemediationChip status={node.evidence.remediation_status} /> : <Chip>—</Chip>}</td>
              <td>
                {edges.filter((edge) => edge.from === node.id).map((edge, index) => (
                  <div key={index}><span className="secondary">{visible(text(edge.label))} →</span> {names.get(edge.to)}</div>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
