// An order by filter: the actions made of it as one.
import { useQueries } from '@tanstack/react-query';
import { Link, useParams } from '../lib/router';
import { ApiError, get } from '../api/client';
import { useGet } from '../api/queries';
import type { Action, MailBulk } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { number } from '../lib/time';
import { ActionChip, Chip } from '../ui/chips';
import { ErrorState, Skeleton, Stale } from '../ui/states';
import { Time } from '../ui/time';
import { useTokenWords } from './bar';
import { Blocks } from './blocks';
import { explorerLink } from './filter';
import { FollowUps, Progress, ProgressButtons } from './progress';
import { isOver, RUNNING_POLL_MS } from './receipts';
import '../styles/pages.css';
import '../styles/mail.css';

export default function BulkPage() {
  const { id = '' } = useParams();
  const { t, language } = useT();
  const words = useTokenWords();
  const query = useGet<MailBulk>(`/mail/bulk/${encodeURIComponent(id)}`, undefined, { poll: RUNNING_POLL_MS });
  const bulk = query.data;
  const parts = useQueries({
    queries: (bulk?.actions ?? []).map((action) => ({
      queryKey: [`/actions/${action}`, {}],
      queryFn: ({ signal }: { signal: AbortSignal }) => get<Action>(`/actions/${action}`, { signal }),
      refetchInterval: ({ state }: { state: { data?: Action } }) => (state.data && isOver(state.data) ? false as const : RUNNING_POLL_MS),
    })),
  });
  const crumbs = [{ label: t('nav.mail'), to: '/mail' }, { label: t('removal.title') }];
  if (!bulk) return <Page title={t('removal.title')} crumbs={crumbs}>{query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}</Page>;
  const actions = parts.map((part) => part.data).filter((action) => action !== undefined);
  const failed = parts.find((part) => part.error)?.error;
  return (
    <Page title={`${t(`remedy.${bulk.remedy}`)}: ${visible(bulk.reason)}`} crumbs={crumbs} buttons={<ProgressButtons actions={actions} bulk={bulk} />}
      chips={<><Chip tone="accent">{t('removal.byFilter')}</Chip>{[...new Set(actions.map((action) => action.state))].map((state) => <ActionChip key={state} state={state} />)}</>}
      subtitle={
        <span className="row wrapping">
          <span>{t('removal.ordered', { who: bulk.ordered_by })}</span> <Time at={bulk.created_at} />
          <span>· {t('wizard.byCopies', { count: number(bulk.copies, language) })}</span>
          {bulk.incident_id ? <Link to={to.incident(bulk.incident_id)}>{t('actions.incident')}</Link> : null}
        </span>
      }>
      <Stale query={query} />
      {failed instanceof ApiError ? <ErrorState error={failed} /> : null}
      {bulk.state === 'expanding' ? <div className="banner info" role="status"><span className="grow">{t('removal.expanding', { count: number(bulk.copies, language) })}</span></div> : null}
      <div className="row wrapping">
        {(bulk.filter.conditions ?? []).map(({ field, negate, values }, index) => {
          const { name, sense, values: shown } = words({ field, negate: Boolean(negate), values });
          return <Chip key={index} tone="outline">{name} {sense ? <b>{sense}</b> : null} <span className="truncate">{shown}</span></Chip>;
        })}
        <Link to={explorerLink({ ...bulk.filter, to: null, conditions: (bulk.filter.conditions ?? []).filter((one) => !(one.field === 'location' && one.negate)) })}>{t('removal.showFilter')}</Link>
      </div>
      <Blocks ids={bulk.block_actions ?? []} />
      <Progress actions={actions} />
      <FollowUps actions={actions} />
      {actions.length > 0 ? (
        <p className="small secondary row wrapping">{t('removal.actions', { count: actions.length })}: {actions.map((action) => <Link key={action.id} to={to.action(action.id)} className="mono" data-test="bulk-action">{action.id.slice(-8)}</Link>)}
          {actions.filter((action) => action.undone_by).map((action) => <span key={action.id} className="row">{t('removal.undoneBy')} <Link className="mono" to={to.action(action.undone_by!)} data-test="undone-by">{action.undone_by!.slice(-8)}</Link></span>)}
        </p>
      ) : null}
    </Page>
  );
}
