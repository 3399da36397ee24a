import { ListChecks } from 'lucide-react';
import { useMemo, useState } from 'react';
import { useSearchParams } from '../lib/router';
import { useList } from '../api/queries';
import type { Action } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { Button } from '../ui/button';
import { Empty, ErrorState, Skeleton, Stale } from '../ui/states';
import { Tabs } from '../ui/tabs';
import { ActionItem, DecisionResults, useDecisions } from './item';
import { ApproveAll } from './list';
import '../styles/pages.css';

const STATES = {
  pending: 'pendingApproval',
  running: 'queued,running,paused,cancelling',
  history: 'succeeded,partiallySucceeded,failed,declined,expired,cancelled',
  undone: 'undone',
  all: '',
} as const;
type TabId = keyof typeof STATES;

export default function ActionsPage() {
  const { t } = useT();
  const [params] = useSearchParams();
  const incident = params.get('incident') ?? undefined;
  const waiting = useList<Action>('/actions', { state: STATES.pending, incident });
  const tabs = (Object.keys(STATES) as TabId[]).map((id) => ({
    id,
    label: t(`actions.tabs.${id}`),
    count: id === 'pending' && waiting.items ? waiting.total : undefined,
    attention: true,
    body: () => <ActionsTab id={id} incident={incident} />,
  }));
  return (
    <Page title={t('nav.actions')} subtitle={t('actions.subtitle')} buttons={<ApproveAll actions={waiting.items ?? []} />}>
      <Tabs tabs={tabs} label={t('nav.actions')} />
    </Page>
  );
}

function ActionsTab({ id, incident }: { id: TabId; incident?: string }) {
  const { t } = useT();
  const list = useList<Action>('/actions', { state: STATES[id] || undefined, incident });
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const { busy, run, results } = useDecisions();
  const items = list.items;
  const selected = useMemo(() => (items ?? []).filter((action) => chosen.has(action.id)), [items, chosen]);
  if (!items) return list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Skeleton />;
  if (items.length === 0) {
    return (
      <div className="card">
        <Empty title={t(`actions.empty.${id}`)} icon={<ListChecks size={34} strokeWidth={1.4} aria-hidden />}>
          {t('actions.emptyHint')}
        </Empty>
      </div>
    );
  }
  const toggle = (action: Action) => {
    const next = new Set(chosen);
    if (!next.delete(action.id)) next.add(action.id);
    setChosen(next);
  };
  return (
    <div className="card">
      <Stale query={list} />
      {results ? <DecisionResults results={results} /> : null}
      {items.map((action) => (
        <ActionItem key={action.id} action={action} showIncident={!incident}
          selected={chosen.has(action.id)} onSelect={id === 'pending' ? () => toggle(action) : undefined} />
      ))}
      {list.hasNextPage ? (
        <div className="bulk">
          <Button compact onClick={() => void list.fetchNextPage()}>{t('grid.more')}</Button>
        </div>
      ) : null}
      {selected.length > 0 ? (
        <div className="bulk" role="region" aria-label={t('grid.bulk')}>
          <span className="grow">{t('grid.selected', { count: selected.length })}</span>
          <Button compact variant="primary" busy={busy} onClick={() => run(selected.map((action) => action.id), 'approve', undefined, () => setChosen(new Set()))}>
            {t('decision.approve')}
          </Button>
          <Button compact busy={busy} onClick={() => run(selected.map((action) => action.id), 'decline', undefined, () => setChosen(new Set()))}>
            {t('decision.decline')}
          </Button>
        </div>
      ) : null}
    </div>
  );
}
