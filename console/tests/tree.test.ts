import { expect, test } from 'vitest';
import type { StoryNode } from '../src/api/types';
import { forest, openByDefault, visibleRows } from '../src/lib/tree';

const node = (key: string, parent: string | null, at: number, severity: StoryNode['severity'] = null): StoryNode => ({
  key, parent, kind: 'process', name: key, at: new Date(at).toISOString(), ended_at: null, command_line: null, user: null, sha256: null, severity, technique: null,
  detection: null, facts: {}, prevalence: null, entity: null,
});

test('siblings stand in order of time, with level, position and set size', () => {
  const trees = forest([node('b', 'root', 30), node('root', null, 10), node('a', 'root', 20), node('a1', 'a', 25)]);
  const rows = visibleRows(trees, openByDefault(trees));
  expect(rows.map((row) => [row.node.key, row.level, row.position, row.setSize])).toEqual([
    ['root', 1, 1, 1], ['a', 2, 1, 2], ['a1', 3, 1, 1], ['b', 2, 2, 2],
  ]);
});

test('a folded branch says how much it hides', () => {
  const trees = forest([node('r', null, 1), node('a', 'r', 2), node('b', 'a', 3), node('c', 'b', 4)]);
  expect(visibleRows(trees, new Set()).map((row) => row.hidden)).toEqual([3]);
});

test('hostile input: rings and missing parents become roots, nothing is lost', () => {
  const trees = forest([node('a', 'b', 1), node('b', 'a', 2), node('c', 'nowhere', 3), node('d', 'd', 4)]);
  const rows = visibleRows(trees, new Set(['a', 'b', 'c', 'd']));
  expect(rows.map((row) => row.node.key).sort()).toEqual(['a', 'b', 'c', 'd']);
});

test('in a large story only the branches with detections start open', () => {
  const nodes = [node('r', null, 0)];
  for (let i = 0; i < 100; i += 1) nodes.push(node(`x${i}`, 'r', i + 1), node(`x${i}c`, `x${i}`, i + 200, i === 7 ? 'high' : null));
  const open = openByDefault(forest(nodes));
  expect(open.has('x7')).toBe(true);
  expect(open.has('x8')).toBe(false);
});

test('two stories that share processes become one tree', () => {
  const trees = forest([node('r', null, 1), node('a', 'r', 2), node('r', null, 1), node('a', 'r', 2, 'high'), node('b', 'a', 3)]);
  expect(trees.nodes.size).toBe(3);
  expect(trees.nodes.get('a')!.severity).toBe('high');
});
