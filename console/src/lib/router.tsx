// Pages by path. A routing library weighs ten times as much as the few things needed: the place in the
// address bar as state, links that stay in the page, parameters in paths and searches.
import {
  createContext, startTransition, useCallback, useContext, useEffect, useMemo, useState, type AnchorHTMLAttributes, type MouseEvent, type ReactNode, type Ref,
} from 'react';
import { isActive, type Params } from './route';

export interface Place { pathname: string; search: string; hash: string }
interface Options { replace?: boolean }

const read = (): Place => {
  const { pathname, search, hash } = window.location;
  return { pathname, search, hash };
};
const listeners = new Set<() => void>();
const PlaceContext = createContext<Place>({ pathname: '/', search: '', hash: '' });
const ParamsContext = createContext<Params>({});

/** Goes to a path of this console; another origin is never left for. */
export function navigate(to: string, { replace }: Options = {}) {
  const { pathname, search, hash } = new URL(to, window.location.href);
  const href = pathname.replace(/^\/+/, '/') + search + hash;
  const { pathname: from, search: asked, hash: mark } = window.location;
  if (replace || href === from + asked + mark) window.history.replaceState(null, '', href);
  else window.history.pushState(null, '', href);
  for (const listener of listeners) listener();
}

/** Follows the address bar: a page shown stays until the next one is loaded, a filter of it changes at once. */
export function Router({ children }: { children: ReactNode }) {
  const [place, setPlace] = useState(read);
  useEffect(() => {
    let shown = window.location.pathname;
    const follow = () => {
      const next = read();
      if (next.pathname === shown) setPlace(next);
      else startTransition(() => setPlace(next));
      shown = next.pathname;
    };
    listeners.add(follow);
    window.addEventListener('popstate', follow);
    // what changed before the first listener was there
    setPlace((now) => (now.pathname + now.search + now.hash === window.location.pathname + window.location.search + window.location.hash ? now : read()));
    return () => {
      listeners.delete(follow);
      window.removeEventListener('popstate', follow);
    };
  }, []);
  return <PlaceContext value={place}>{children}</PlaceContext>;
}

export const useLocation = () => useContext(PlaceContext);
export const useNavigate = () => navigate;
export const WithParams = ParamsContext;
export const useParams = () => useContext(ParamsContext);

type Change = URLSearchParams | ((now: URLSearchParams) => URLSearchParams);

/** The search of the address; changes made one after the other build on each other. */
export function useSearchParams(): [URLSearchParams, (change: Change, options?: Options) => void] {
  const { search } = useLocation();
  const params = useMemo(() => new URLSearchParams(search), [search]);
  const set = useCallback((change: Change, options?: Options) => {
    const next = String(typeof change === 'function' ? change(new URLSearchParams(window.location.search)) : change);
    navigate(window.location.pathname + (next ? `?${next}` : ''), options);
  }, []);
  return [params, set];
}

interface LinkProps extends Omit<AnchorHTMLAttributes<HTMLAnchorElement>, 'href'> { to: string; replace?: boolean; ref?: Ref<HTMLAnchorElement> }

export function Link({ to, replace, onClick, ...rest }: LinkProps) {
  const go = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const own = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !own || rest.target || rest.download !== undefined) return;
    event.preventDefault();
    navigate(to, { replace });
  };
  return <a {...rest} href={to} onClick={go} />;
}

/** A link that says when its page, or one below it, is shown. */
export function NavLink({ end = false, ...rest }: LinkProps & { end?: boolean }) {
  const { pathname } = useLocation();
  const active = isActive(rest.to, pathname, end);
  return <Link {...rest} className={active ? 'active' : undefined} aria-current={active ? 'page' : undefined} />;
}

export function Navigate({ to, replace }: { to: string; replace?: boolean }) {
  useEffect(() => navigate(to, { replace }), [to, replace]);
  return null;
}
