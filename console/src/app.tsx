import { QueryClientProvider } from '@tanstack/react-query';
import { Component, lazy, Suspense, useEffect, useState, type ComponentType, type ReactNode } from 'react';
import { BrowserRouter, Route, Routes, useLocation } from 'react-router';
import { queryClient } from './api/queries';
import { Session } from './auth/session';
import { Frame } from './frame/frame';
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

const PAGES = {
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
  audit: page(() => import('./audit/page')),
  search: page(() => import('./frame/search')),
  'settings/:section?': page(() => import('./settings/page')),
};
const home = page(() => import('./home/page'));
const login = page(() => import('./auth/login'));
const setup = page(() => import('./auth/setup'));
const frame = (
  <Session>
    <Frame />
  </Session>
);

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
        <BrowserRouter>
          <Routes>
            <Route path="/login" element={login} />
            <Route path="/setup" element={setup} />
            <Route path="/" element={frame}>
              <Route index element={home} />
              {Object.entries(PAGES).map(([path, element]) => <Route key={path} path={path} element={element} />)}
              <Route path="*" element={<Missing />} />
            </Route>
          </Routes>
        </BrowserRouter>
        <Toasts />
      </NowContext>
    </QueryClientProvider>
  );
}
