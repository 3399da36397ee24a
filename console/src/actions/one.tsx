// One action under its own address.
import { Link, useParams, useSearchParams } from '../lib/router';
import { useGet } from '../api/queries';
import type { Action } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { BLOCK_MAX } from '../mail/block';
import { Blocks } from '../mail/blocks';
import { FollowUps, Progress, ProgressButtons } from '../mail/progress';
import { isMailAction, isOver, RUNNING_POLL_MS } from '../mail/receipts';
import { ActionChip, DemoChip } from '../ui/chips';
import { ErrorState, Skeleton, Stale } from '../ui/states';
import { Time } from '../ui/time';
import { useDescribe } from './describe';
import { ActionItem, Approvals, History } from './item';
import '../styles/pages.css';
import '../styles/mail.css';

export default function ActionPage() {
  const { id = '' } = useParams();
  const { t, text } = useT();
  const [params] = useSearchParams();
  const describe = useDescribe();
  const route = `/actions/${encodeURIComponent(id)}` as const;
  const first = useGet<Action>(route);
  const running = first.data && !isOver(first.data);
  const query = useGet<Action>(route, undefined, running ? { poll: RUNNING_POLL_MS } : undefined);
  const action = query.data?.id === id ? query.data : undefined;
  const crumbs = [{ label: t('nav.actions'), to: '/actions' }, { label: t('removal.one') }];
  if (!action) return <Page title={t('removal.one')} crumbs={crumbs}>{query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}</Page>;
  const { title, target } = describe(action.spec);
  if (!isMailAction(action)) {
    return (
      <Page title={title} crumbs={crumbs}>
        <Stale query={query} />
        <div className="card"><ActionItem action={action} showIncident openReceipts /></div>
      </Page>
    );
  }
  return (
    <Page title={title} crumbs={crumbs} buttons={<ProgressButtons actions={[action]} />}
      chips={<><ActionChip state={action.state} /><Approvals action={action} /><DemoChip id={action.id} /><span className="secondary">{visible(target)}</span></>}
      subtitle={
        <span className="row wrapping">
          <span>{visible(text(action.reason))}</span> <span>· {t('actions.by', { who: action.proposed_by })}</span> <Time at={action.created_at} />
          {action.decided_by ? <span>· {t('actions.decidedBy', { who: action.decided_by })}</span> : null}
          {action.incident_id ? <Link to={to.incident(action.incident_id)}>{t('actions.incident')}</Link> : null}
          {action.investigation_id ? <Link to={to.investigation(action.investigation_id)}>{t('actions.investigation')}</Link> : null}
          {action.undoes ? <span>· {t('removal.undoes')} <Link className="mono" to={to.action(action.undoes)}>{action.undoes.slice(-8)}</Link></span> : null}
          {action.undone_by ? <span>· {t('removal.undoneBy')} <Link className="mono" to={to.action(action.undone_by)} data-test="undone-by">{action.undone_by.slice(-8)}</Link></span> : null}
        </span>
      }>
      <Stale query={query} />
      <Blocks ids={(params.get('with') ?? '').split(',').filter(Boolean).slice(0, BLOCK_MAX)} />
      {action.approval.history.length > 0 ? <div className="card"><History action={action} /></div> : null}
      <Progress actions={[action]} />
      <FollowUps actions={[action]} />
    </Page>
  );
}
