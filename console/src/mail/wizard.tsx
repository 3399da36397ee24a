// Opens the dialogue that acts on mail; the dialogue itself is fetched when it is first wanted.
import { lazy, Suspense, useCallback, useState, type ReactNode } from 'react';
import type { ExplorerMessage, MailFilter, MessageCopyRef } from '../api/types';
import type { Token } from './filter';

/** What is acted on: what a filter picks, or copies by hand. */
export interface Scope {
  filter?: MailFilter;
  copies?: MessageCopyRef[];
  /** Messages, as far as the page knows. */
  messages: number;
  /** What the page shows of them. */
  known: ExplorerMessage[];
  /** Conditions only some copies of the picked messages meet; the others are left. */
  narrow?: Token[];
  /** True: everything that matches, not only what was picked. */
  all?: boolean;
  /** When the list was read; what came after it is counted apart. */
  since?: string;
  /** Incident the action belongs to. */
  incident?: string | null;
}

const Box = lazy(() => import('./wizard-box'));

/** The function that opens the dialogue, and the dialogue, to be put into the page. */
export function useWizard(): [(scope: Scope) => void, ReactNode] {
  const [scope, setScope] = useState<Scope | null>(null);
  const close = useCallback(() => setScope(null), []);
  return [setScope, scope ? <Suspense key="wizard" fallback={null}><Box scope={scope} onClose={close} /></Suspense> : null];
}
