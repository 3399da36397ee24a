import { AlertTriangle, FilterX, Inbox, Lock, RotateCw } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { ApiError } from '../api/client';
import { useLiveState } from '../api/live';
import { useT } from '../i18n';
import { clock } from '../lib/time';
import { Button } from './button';

/** Skeletons appear only when loading is noticeable. */
const SKELETON_AFTER_MS = 150;

export function useLate(active: boolean, after = SKELETON_AFTER_MS): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!active) {
      setLate(false);
      return;
    }
    const timer = setTimeout(() => setLate(true), after);
    return () => clearTimeout(timer);
  }, [active, after]);
  return late;
}

export function Skeleton({ rows = 6, height = 18 }: { rows?: number; height?: number }) {
  const { t } = useT();
  const late = useLate(true);
  return (
    <div role="status" className="column" style={{ padding: 16 }}>
      <span className="hidden-text">{t('states.loading')}</span>
      {late
        ? Array.from({ length: rows }, (_, index) => (
            <div key={index} className="skeleton" style={{ height, width: `${96 - ((index * 17) % 40)}%` }} />
          ))
        : null}
    </div>
  );
}

export function Empty({ title, children, icon, action }: { title: string; children?: ReactNode; icon?: ReactNode; action?: ReactNode }) {
  return (
    <div className="state">
      {icon ?? <Inbox size={34} strokeWidth={1.4} aria-hidden />}
      <p className="title">{title}</p>
      {children ? <p>{children}</p> : null}
      {action}
    </div>
  );
}

export function EmptyFiltered({ onClear }: { onClear: () => void }) {
  const { t } = useT();
  return (
    <Empty
      title={t('states.nothingMatches')}
      icon={<FilterX size={34} strokeWidth={1.4} aria-hidden />}
      action={<Button onClick={onClear}>{t('states.clearFilters')}</Button>}
    >
      {t('states.nothingMatchesHint')}
    </Empty>
  );
}

export function ErrorState({ error, retry }: { error: Error; retry?: () => void }) {
  const { t, language } = useT();
  const [since] = useState(() => Date.now());
  const api = error instanceof ApiError ? error : null;
  if (api?.status === 403) {
    return (
      <Empty title={t('states.forbidden')} icon={<Lock size={34} strokeWidth={1.4} aria-hidden />}>
        {api.text(language)} {t('states.forbiddenHint')}
      </Empty>
    );
  }
  return (
    <div className="state" role="alert">
      <AlertTriangle size={34} strokeWidth={1.4} aria-hidden />
      <p className="title">{api?.status === 404 ? t('states.notFound') : t('states.failed')}</p>
      <p>{api ? api.text(language) : error.message}</p>
      <p className="small">
        {t('states.since', { at: clock(since, language) })}
        {api?.problem.request_id ? (
          <>
            {' · '}
            {t('states.requestId')} <code>{api.problem.request_id}</code>
          </>
        ) : null}
      </p>
      {retry ? (
        <Button onClick={retry}>
          <RotateCw size={15} aria-hidden />
          {t('states.retry')}
        </Button>
      ) : null}
    </div>
  );
}

interface QueryLike<T> {
  data: T | undefined;
  error: Error | null;
  isPending: boolean;
  dataUpdatedAt: number;
  refetch: () => unknown;
}

/** Shows data when there is some; a failed refresh keeps the old data and says how old it is. */
export function Loaded<T>({ query, children, rows }: { query: QueryLike<T>; children: (data: T) => ReactNode; rows?: number }) {
  if (query.data !== undefined) {
    return (
      <>
        <Stale query={query} />
        {children(query.data)}
      </>
    );
  }
  if (query.error) return <ErrorState error={query.error} retry={() => void query.refetch()} />;
  return <Skeleton rows={rows} />;
}

export function Stale({ query }: { query: { error: Error | null; dataUpdatedAt: number; refetch: () => unknown } }) {
  const { t, language } = useT();
  const live = useLiveState();
  const lost = useLate(live === 'reconnecting', 20_000);
  if (!query.error && !lost) return null;
  return (
    <div className="banner" role="status">
      <AlertTriangle size={16} aria-hidden />
      <span className="grow">{t('states.stale', { at: clock(query.dataUpdatedAt, language) })}</span>
      <Button compact variant="quiet" onClick={() => void query.refetch()}>
        {t('states.retry')}
      </Button>
    </div>
  );
}
