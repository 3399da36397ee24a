import { QueryClientProvider } from '@tanstack/react-query';
import { Component, Fragment, lazy, Suspense, useEffect, useState, type ComponentType, type ReactNode } from 'react';
import { queryClient } from './api/queries';
import { Session } from './auth/session';
import { Frame } from './frame/frame';
import { firstMatch } from './lib/route';
import { Router, useLocation, WithParams } from './lib/router';
import { NowContext, useT } from './i18n';
import { Page } from './frame/page';
import { Empty, ErrorState, Skeleton } from './ui/states';
import { Toasts } from './ui/toast';

type Load = () => Promise<{ default: ComponentType }>;

function page(load: Load) {
  const Lazy = lazy(load);
  return (
    <Guard>
      <Suspense fallback={<Skeleton />}>
        <Lazy />
      </Suspense>
    </Guard>
  );
}

const PAGES: Record<string, ReactNode> = {
  '': page(() => import('./home/page')),
  incidents: page(() => import('./incidents/queue')),
  'incidents/:id': page(() => import('./incidents/page')),
  alerts: page(() => import('./alerts/queue')),
  'alerts/:id': page(() => import('./alerts/page')),
  investigations: page(() => import('./investigations/queue')),
  'investigations/:id': page(() => import('./investigations/page')),
  devices: page(() => import('./devices/queue')),
  'devices/:id': page(() => import('./devices/page')),
  mail: page(() => import('./mail/explorer')),
  'mail/bulk/:id': page(() => import('./mail/bulk')),
  'mail/:id': page(() => import('./mail/page')),
  'files/:sha256': page(() => import('./files/page')),
  actions: page(() => import('./actions/page')),
  'actions/:id': page(() => import('./actions/one')),
  indicators: page(() => import('./indicators/page')),
  tuning: page(() => import('./tuning/page')),
  audit: page(() => import('./audit/page')),
  pivot: page(() => import('./pivot/page')),
  search: page(() => import('./frame/search')),
  'settings/:section?': page(() => import('./settings/page')),
};
/** Pages without the frame, for people who are not logged in. */
const DOORS: Record<string, ReactNode> = { login: page(() => import('./auth/login')), setup: page(() => import('./auth/setup')) };

/** A mistake in one page leaves the frame and the other pages usable. */
class Boundary extends Component<{ path: string; children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidUpdate(before: { path: string }) {
    if (before.path !== this.props.path && this.state.error) this.setState({ error: null });
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return <ErrorState error={this.state.error} retry={() => window.location.reload()} />;
  }
}

function Guard({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  return <Boundary path={pathname}>{children}</Boundary>;
}

function Missing() {
  const { t } = useT();
  return (
    <Page title={t('states.notFound')}>
      <div className="card">
        <Empty title={t('states.notFound')}>{t('states.notFoundHint')}</Empty>
      </div>
    </Page>
  );
}

function Shown() {
  const { pathname } = useLocation();
  const door = firstMatch(Object.keys(DOORS), pathname);
  if (door) return DOORS[door.pattern];
  const found = firstMatch(Object.keys(PAGES), pathname);
  return (
    <Session>
      <Frame>
        <WithParams value={found?.params ?? NONE}>{found ? <Fragment key={found.pattern}>{PAGES[found.pattern]}</Fragment> : <Missing />}</WithParams>
      </Frame>
    </Session>
  );
}

const NONE = {};

/** Relative times move together, twice a minute. */
const CLOCK_MS = 30_000;

function useClock(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), CLOCK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export function App() {
  return (
    <QueryClientProvider client={queryClient}>
      <NowContext value={useClock()}>
        <Router>
          <Shown />
        </Router>
        <Toasts />
      </NowContext>
    </QueryClientProvider>
  );
}
