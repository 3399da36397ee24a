// Feeds: what is fetched on a schedule, how it does, and the test button.
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { post, type ApiError } from '../api/client';
import { invalidate, useGet, useList } from '../api/queries';
import type { FeedRun, IndicatorFeed, NewFeedRun } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

const RUN_TONES = { waiting: 'medium', running: 'medium', done: 'ok', unchanged: 'ok', failed: 'high' } as const;

export function Feeds({ why, onClose }: { why: string | false; onClose: () => void }) {
  const { t } = useT();
  const list = useList<IndicatorFeed>('/indicators/feeds');
  const [shown, setShown] = useState<string | null>(null);
  return (
    <Dialog open wide onClose={onClose} title={t('indicator.feeds')} description={t('indicator.feedsHint')}>
      <Loaded query={{ ...list, data: list.items }}>
        {(items) => items.length === 0 ? <p className="secondary">{t('indicator.noFeeds')}</p> : (
          <div className="column" data-test="feeds">
            {items.map((feed) => <Feed key={feed.name} feed={feed} why={why} open={shown === feed.name} onToggle={() => setShown(shown === feed.name ? null : feed.name)} />)}
          </div>
        )}
      </Loaded>
    </Dialog>
  );
}

function Feed({ feed, why, open, onToggle }: { feed: IndicatorFeed; why: string | false; open: boolean; onToggle: () => void }) {
  const { t } = useT();
  const toast = useToast();
  const [run, setRun] = useState<string | null>(null);
  const order = useMutation<FeedRun, ApiError, boolean>({
    mutationFn: (dry_run) => post<FeedRun>(`/indicators/feeds/${feed.name}/runs`, { dry_run } satisfies NewFeedRun),
    onSuccess: (answer) => { setRun(answer.id); invalidate('/indicators'); },
    onError: toast.failed,
  });
  return (
    <section className="column" style={{ gap: '6px' }}>
      <div className="row wrapping">
        <span className="strong">{visible(feed.name)}</span>
        <Chip tone={feed.failing_since ? 'high' : 'ok'}>{feed.failing_since ? t('indicator.feedFailing') : t('indicator.feedWorks')}</Chip>
        <span className="small secondary">{t(`feedKind.${feed.kind}`)} · {t(`indicatorState.${feed.action}`)} · {t('indicator.feedEvery', { count: feed.every_minutes })}</span>
      </div>
      <span className="small mono" style={{ overflowWrap: 'anywhere' }}>{visible(feed.url)}</span>
      {feed.last_run ? <Run run={feed.last_run} /> : <p className="small secondary">{t('indicator.feedNever')}</p>}
      <div className="row wrapping">
        <Button compact why={why} busy={order.isPending} data-test="feed-test" onClick={() => order.mutate(true)}>{t('indicator.feedTest')}</Button>
        <Button compact why={why} busy={order.isPending} onClick={() => order.mutate(false)}>{t('indicator.feedFetch')}</Button>
        <Button compact variant="quiet" aria-expanded={open} onClick={onToggle}>{t('indicator.feedLog')}</Button>
      </div>
      {run ? <Running id={run} /> : null}
      {open ? <Log name={feed.name} /> : null}
    </section>
  );
}

function Running({ id }: { id: string }) {
  const run = useGet<FeedRun>(`/indicators/feed-runs/${id}`, {}, { poll: 1_000 });
  return <div role="status" data-test="feed-answer"><Loaded query={run}>{(answer) => <Run run={answer} all />}</Loaded></div>;
}

function Log({ name }: { name: string }) {
  const list = useList<FeedRun>(`/indicators/feeds/${name}/runs`);
  return <Loaded query={{ ...list, data: list.items }}>{(runs) => <div className="column">{runs.slice(0, 20).map((run) => <Run key={run.id} run={run} all />)}</div>}</Loaded>;
}

function Run({ run, all = false }: { run: FeedRun; all?: boolean }) {
  const { t, text } = useT();
  return (
    <div className="column" style={{ gap: '2px' }}>
      <div className="row wrapping small">
        <Chip tone={RUN_TONES[run.state]}>{t(`feedRunState.${run.state}`)}</Chip>
        <Ago at={run.at} />
        {run.dry_run ? <span>{t('indicator.feedDry')}</span> : null}
        <span>{t('indicator.counts', { added: run.added, changed: run.changed, unchanged: run.unchanged, refused: run.refused_count })}</span>
      </div>
      {run.reason ? <p className="small">{text(run.reason)}</p> : null}
      {all && run.refused.length ? (
        <ul className="small secondary" style={{ margin: 0, paddingInlineStart: '20px' }}>
          {run.refused.slice(0, 10).map((one, at) => <li key={at}><span className="mono">{visible(one.value || one.place)}</span>: {text(one.reason)}</li>)}
        </ul>
      ) : null}
    </div>
  );
}
