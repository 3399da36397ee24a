// The evidence graph: entities as boxes, laid out in layers from left to right.
import * as dagre from '@dagrejs/dagre';
import type { EntityKind, Evidence, GraphEdge, Text, Verdict } from '../api/types';
import { entityLabel, parseEntity } from './entity';

export interface GraphNode {
  id: string;
  kind: EntityKind;
  name: string;
  verdict: Verdict;
  evidence: Evidence | null;
  /** Keys of the entities a group stands for. */
  members: string[];
}
export interface Graph { nodes: GraphNode[]; edges: { from: string; to: string; label: Text; count: number }[] }
export interface Placed { id: string; x: number; y: number }
export interface Layout {
  width: number;
  height: number;
  nodes: Map<string, Placed>;
  edges: { from: string; to: string; label: Text; count: number; points: { x: number; y: number }[] }[];
}

export const NODE_WIDTH = 184;
export const NODE_HEIGHT = 60;
/** More neighbours of one kind than this are drawn as one group. */
export const GROUP_FROM = 6;

const WORST: Verdict[] = ['unknown', 'noThreatsFound', 'suspicious', 'malicious'];
const worst = (verdicts: Verdict[]): Verdict =>
  verdicts.reduce<Verdict>((bad, verdict) => (WORST.indexOf(verdict) > WORST.indexOf(bad) ? verdict : bad), 'unknown');

export function buildGraph(evidence: Evidence[], edges: GraphEdge[]): Graph {
  const nodes = new Map<string, GraphNode>();
  const add = (key: string, item: Evidence | null) => {
    const before = nodes.get(key);
    if (before?.evidence || (before && !item)) return;
    nodes.set(key, {
      id: key, kind: parseEntity(key).kind, name: item?.name || entityLabel(key), verdict: item?.verdict ?? 'unknown',
      evidence: item, members: [key],
    });
  };
  for (const item of evidence) add(item.entity, item);
  for (const edge of edges) {
    add(edge.from, null);
    add(edge.to, null);
  }
  return group({ nodes: [...nodes.values()], edges: edges.map((edge) => ({ ...edge, count: 1 })) });
}

/** Folds many entities of one kind that hang on the same neighbours into one box. */
function group(graph: Graph): Graph {
  const signature = (node: GraphNode) =>
    `${node.kind}|${graph.edges.filter((edge) => edge.to === node.id).map((edge) => edge.from).sort().join()}|${graph.edges
      .filter((edge) => edge.from === node.id).map((edge) => edge.to).sort().join()}`;
  const sets = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) {
    const key = signature(node);
    const set = sets.get(key);
    if (set) set.push(node);
    else sets.set(key, [node]);
  }
  const replaced = new Map<string, string>();
  const nodes: GraphNode[] = [];
  for (const [key, set] of sets) {
    if (set.length <= GROUP_FROM) {
      nodes.push(...set);
      continue;
    }
    const id = `group:${key}`;
    for (const node of set) replaced.set(node.id, id);
    nodes.push({
      id, kind: set[0]!.kind, name: '', verdict: worst(set.map((node) => node.verdict)), evidence: null,
      members: set.map((node) => node.id),
    });
  }
  const edges = new Map<string, Graph['edges'][number]>();
  for (const edge of graph.edges) {
    const from = replaced.get(edge.from) ?? edge.from;
    const to = replaced.get(edge.to) ?? edge.to;
    const known = edges.get(`${from}>${to}>${edge.label.en}`);
    if (known) known.count += edge.count;
    else edges.set(`${from}>${to}>${edge.label.en}`, { ...edge, from, to });
  }
  return { nodes, edges: [...edges.values()] };
}

export function layout(graph: Graph): Layout {
  const plan = new dagre.graphlib.Graph({ multigraph: true });
  plan.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: 74, marginx: 20, marginy: 20 });
  plan.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) plan.setNode(node.id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  graph.edges.forEach((edge, index) => plan.setEdge(edge.from, edge.to, {}, String(index)));
  dagre.layout(plan);
  const nodes = new Map<string, Placed>();
  for (const node of graph.nodes) {
    const at = plan.node(node.id) as { x: number; y: number };
    nodes.set(node.id, { id: node.id, x: at.x - NODE_WIDTH / 2, y: at.y - NODE_HEIGHT / 2 });
  }
  const size = plan.graph() as { width?: number; height?: number };
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    nodes,
    edges: graph.edges.map((edge, index) => ({
      ...edge,
      points: ((plan.edge(edge.from, edge.to, String(index)) as { points?: { x: number; y: number }[] } | undefined)?.points ?? []),
    })),
  };
}
