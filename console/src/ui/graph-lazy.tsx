// The graph brings a layout engine; it is fetched when a page shows one.
import { lazy, Suspense } from 'react';
import type { GraphProps } from './graph';
import { Skeleton } from './states';

const Lazy = lazy(() => import('./graph'));

export function EvidenceGraph(props: GraphProps) {
  return (
    <Suspense fallback={<Skeleton rows={5} />}>
      <Lazy {...props} />
    </Suspense>
  );
}
