import { CheckCircle2, CircleX, X } from 'lucide-react';
import { useSyncExternalStore } from 'react';
import { ApiError } from '../api/client';
import { useT } from '../i18n';
import { Button } from './button';

interface Item { id: number; kind: 'ok' | 'error'; text: string; detail?: string }

const SHOWN_MS = 6_000;
let items: Item[] = [];
let last = 0;
const listeners = new Set<() => void>();

function change(next: Item[]) {
  items = next;
  for (const listener of listeners) listener();
}

function add(item: Omit<Item, 'id'>) {
  last += 1;
  const id = last;
  change([...items.slice(-3), { ...item, id }]);
  // errors stay until they are closed
  if (item.kind === 'ok') setTimeout(() => drop(id), SHOWN_MS);
}

const drop = (id: number) => change(items.filter((item) => item.id !== id));

/** Says that something worked, or why not. */
export function useToast() {
  const { t, language } = useT();
  return {
    ok: (text: string) => add({ kind: 'ok', text }),
    failed: (error: unknown) => {
      if (error instanceof ApiError) {
        if (error.status === 412) return add({ kind: 'error', text: t('states.conflict') });
        const id = error.problem.request_id;
        return add({ kind: 'error', text: error.text(language), detail: id ? `${t('states.requestId')} ${id}` : undefined });
      }
      return add({ kind: 'error', text: error instanceof Error ? error.message : String(error) });
    },
  };
}

export function Toasts() {
  const { t } = useT();
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => items,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((item) => (
        <div key={item.id} className={`toast ${item.kind}`}>
          {item.kind === 'ok' ? <CheckCircle2 size={18} color="var(--ok)" aria-hidden /> : <CircleX size={18} color="var(--high)" aria-hidden />}
          <div className="grow">
            {item.text}
            {item.detail ? <div className="small secondary mono">{item.detail}</div> : null}
          </div>
          <Button variant="quiet" compact icon onClick={() => drop(item.id)} aria-label={t('words.close')}>
            <X size={15} aria-hidden />
          </Button>
        </div>
      ))}
    </div>
  );
}
