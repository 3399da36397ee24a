import { lazy, Suspense, useEffect, type ReactNode } from 'react';
import { Navigate, useLocation, useNavigate } from '../lib/router';
import { ApiError, setSignedOut } from '../api/client';
import { live } from '../api/live';
import { invalidate, queryClient, useGet } from '../api/queries';
import type { Me, Meta, Route } from '../api/types';
import { OrderProvider } from '../actions/order';
import { setLanguage, storedLanguage } from '../i18n';
import { ErrorState, Skeleton } from '../ui/states';
import { StepUpDialog } from './step-up';

const ConflictDialog = lazy(() => import('../ui/conflict'));

/** Asks who is logged in; leads to the login or to the first-run setup when nobody is. */
export function Session({ children }: { children: ReactNode }) {
  const me = useGet<Me>('/auth/me');
  const location = useLocation();
  const navigate = useNavigate();
  const next = encodeURIComponent(location.pathname + location.search);

  useEffect(() => {
    setSignedOut(() => {
      queryClient.clear();
      void navigate(`/login?next=${next}`);
    });
  }, [navigate, next]);

  const signedIn = me.data !== undefined && !me.error;
  useEffect(() => {
    if (!signedIn) return;
    live.start((routes) => void invalidate(...routes));
    return () => live.stop();
  }, [signedIn]);

  const language = me.data?.user.language;
  useEffect(() => {
    // a choice made in this browser wins over the account's language
    if (language && !storedLanguage()) void setLanguage(language);
  }, [language]);

  if (me.error instanceof ApiError && me.error.status === 401) return <SignIn next={next} />;
  if (me.error && !me.data) return <ErrorState error={me.error} retry={() => void me.refetch()} />;
  if (!me.data) return <Skeleton />;
  return (
    <OrderProvider>
      {children}
      <StepUpDialog me={me.data} />
      <Suspense fallback={null}><ConflictDialog /></Suspense>
    </OrderProvider>
  );
}

function SignIn({ next }: { next: string }) {
  const meta = useGet<Meta>('/meta');
  if (meta.data) return <Navigate to={meta.data.setup_required ? '/setup' : `/login?next=${next}`} replace />;
  return meta.error ? <ErrorState error={meta.error} retry={() => void meta.refetch()} /> : <Skeleton />;
}

/** Forgets what the last person saw and goes on as somebody new. */
export function enter(me: Me | undefined) {
  queryClient.clear();
  if (me) queryClient.setQueryData(['/auth/me' satisfies Route, {}], me);
}
