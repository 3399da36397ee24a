// The alert story as a flat list of visible rows.
import type { StoryNode } from '../api/types';

export interface Row {
  node: StoryNode;
  level: number;
  position: number;
  setSize: number;
  children: number;
  hidden: number;
  expanded: boolean;
  /** For each level above: does the line go on below this row? */
  guides: boolean[];
  last: boolean;
}

export interface Forest { roots: string[]; children: Map<string, string[]>; nodes: Map<string, StoryNode> }

/** Joins nodes of several stories; a node without a known parent, or in a ring, becomes a root. */
export function forest(nodes: StoryNode[]): Forest {
  const known = new Map<string, StoryNode>();
  for (const node of nodes) {
    const before = known.get(node.key);
    known.set(node.key, before ? { ...before, ...withoutEmpty(node) } : node);
  }
  const children = new Map<string, string[]>();
  const roots: string[] = [];
  const ordered = [...known.values()].sort((a, b) => a.at.localeCompare(b.at) || a.key.localeCompare(b.key));
  for (const node of ordered) {
    const parent = node.parent;
    if (parent && known.has(parent) && !inRing(node.key, known)) {
      const list = children.get(parent);
      if (list) list.push(node.key);
      else children.set(parent, [node.key]);
    } else {
      roots.push(node.key);
    }
  }
  return { roots, children, nodes: known };
}

function withoutEmpty(node: StoryNode): Partial<StoryNode> {
  return Object.fromEntries(Object.entries(node).filter(([, value]) => value !== null && value !== undefined));
}

function inRing(key: string, nodes: Map<string, StoryNode>): boolean {
  const seen = new Set<string>();
  let at: string | null | undefined = key;
  while (at) {
    if (seen.has(at)) return true;
    seen.add(at);
    at = nodes.get(at)?.parent;
  }
  return false;
}

/** Branches that hold something with a severity start open; so do roots. */
export function openByDefault({ roots, children, nodes }: Forest): Set<string> {
  const open = new Set<string>();
  const parentOf = new Map<string, string>();
  for (const [parent, keys] of children) for (const key of keys) parentOf.set(key, parent);
  for (const node of nodes.values()) {
    if (!node.severity) continue;
    for (let at: string | undefined = node.key; at && !open.has(at); at = parentOf.get(at)) open.add(at);
  }
  for (const root of roots) open.add(root);
  if (nodes.size <= 40) for (const key of children.keys()) open.add(key);
  return open;
}

export function visibleRows(trees: Forest, open: Set<string>): Row[] {
  const rows: Row[] = [];
  const stack: { key: string; level: number; position: number; setSize: number; guides: boolean[] }[] = [];
  const push = (keys: string[], level: number, guides: boolean[]) => {
    for (let index = keys.length - 1; index >= 0; index -= 1) {
      stack.push({ key: keys[index]!, level, position: index + 1, setSize: keys.length, guides });
    }
  };
  push(trees.roots, 1, []);
  for (let item = stack.pop(); item; item = stack.pop()) {
    const { key, level, position, setSize, guides } = item;
    const node = trees.nodes.get(key)!;
    const below = trees.children.get(key) ?? [];
    const expanded = open.has(key) && below.length > 0;
    const last = position === setSize;
    rows.push({
      node, level, position, setSize, children: below.length, expanded, guides, last,
      hidden: expanded ? 0 : countBelow(trees, key),
    });
    if (expanded) push(below, level + 1, [...guides, !last]);
  }
  return rows;
}

function countBelow(trees: Forest, key: string): number {
  let count = 0;
  const stack = [...(trees.children.get(key) ?? [])];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    count += 1;
    stack.push(...(trees.children.get(at) ?? []));
  }
  return count;
}
