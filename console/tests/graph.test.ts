import { expect, test } from 'vitest';
import { evidence, edges, recipients } from '../e2e/data';
import { buildGraph, layout, NODE_HEIGHT, NODE_WIDTH } from '../src/lib/graph';

test('twelve mailbox copies become one box, everything else stays', () => {
  const graph = buildGraph(evidence, edges);
  const group = graph.nodes.find((node) => node.members.length > 1);
  expect(group?.members).toHaveLength(recipients.length);
  expect(group?.verdict).toBe('malicious');
  expect(graph.edges.filter((edge) => edge.to === group?.id)).toHaveLength(1);
  expect(graph.edges.find((edge) => edge.to === group?.id)?.count).toBe(recipients.length);
});

test('boxes do not overlap and the picture is the same each time', () => {
  const graph = buildGraph(evidence, edges);
  const first = layout(graph);
  expect(layout(graph)).toEqual(first);
  const boxes = [...first.nodes.values()];
  for (const a of boxes) {
    for (const b of boxes) {
      if (a.id >= b.id) continue;
      const apart = Math.abs(a.x - b.x) >= NODE_WIDTH || Math.abs(a.y - b.y) >= NODE_HEIGHT;
      expect(apart, `${a.id} and ${b.id}`).toBe(true);
    }
  }
});

test('edges to entities without evidence, loops and doubles are drawn', () => {
  const label = { en: 'x', ja: 'x' };
  const graph = buildGraph([], [{ from: 'ip:1', to: 'ip:2', label }, { from: 'ip:1', to: 'ip:2', label }, { from: 'ip:2', to: 'ip:2', label }]);
  expect(graph.nodes.map((node) => node.id).sort()).toEqual(['ip:1', 'ip:2']);
  expect(layout(graph).nodes.size).toBe(2);
});
