// Filters live in the URL: a list page reads and writes only search parameters.
import { useCallback, useMemo } from 'react';
import { useSearchParams } from './router';

export type Filters<K extends string> = Record<K, string>;

export function readFilters<K extends string>(params: URLSearchParams, defaults: Filters<K>): Filters<K> {
  const filters = { ...defaults };
  for (const name of Object.keys(defaults) as K[]) {
    const value = params.get(name);
    if (value !== null) filters[name] = value;
  }
  return filters;
}

/** Writes only what differs from the defaults, so that plain links stay plain. */
export function writeFilters<K extends string>(
  params: URLSearchParams, defaults: Filters<K>, change: Partial<Filters<K>>,
): URLSearchParams {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(change) as [K, string][]) {
    if (value === defaults[name]) next.delete(name);
    else next.set(name, value);
  }
  return next;
}

export function activeFilters<K extends string>(filters: Filters<K>, defaults: Filters<K>): K[] {
  return (Object.keys(defaults) as K[]).filter((name) => filters[name] !== defaults[name]);
}

export function useFilters<K extends string>(defaults: Filters<K>) {
  const [params, setParams] = useSearchParams();
  const filters = useMemo(() => readFilters(params, defaults), [params, defaults]);
  const set = useCallback(
    (change: Partial<Filters<K>>) =>
      setParams((now) => writeFilters(now, defaults, change), { replace: true }),
    [setParams, defaults],
  );
  const clear = useCallback(() => set(defaults), [set, defaults]);
  return { filters, set, clear, active: activeFilters(filters, defaults) };
}
