// What was blocked with an order, each with its own undo.
import { useQueries } from '@tanstack/react-query';
import { get } from '../api/client';
import type { Action } from '../api/types';
import { ActionItem } from '../actions/item';
import { useT } from '../i18n';
import { isOver, RUNNING_POLL_MS } from './receipts';

export function Blocks({ ids }: { ids: string[] }) {
  const { t } = useT();
  const answers = useQueries({
    queries: ids.map((id) => ({
      queryKey: [`/actions/${id}`, {}],
      queryFn: ({ signal }: { signal: AbortSignal }) => get<Action>(`/actions/${id}`, { signal }),
      refetchInterval: ({ state }: { state: { data?: Action } }) => (state.data && isOver(state.data) ? false as const : RUNNING_POLL_MS),
    })),
  });
  const actions = answers.flatMap((answer) => (answer.data ? [answer.data] : []));
  if (actions.length === 0) return null;
  return (
    <section className="card" data-test="blocks">
      <div className="card-head"><h2>{t('removal.blocked')}</h2><span className="small secondary">{t('removal.blockedHint')}</span></div>
      {actions.map((action) => <ActionItem key={action.id} action={action} />)}
    </section>
  );
}
