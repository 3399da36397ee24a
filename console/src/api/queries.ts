// Query hooks. The key of every query is [route, query], so that live events find it by route.
import {
  QueryClient, keepPreviousData, useInfiniteQuery, useMutation, useQuery,
} from '@tanstack/react-query';
import { ApiError, get, orderKey, patch, post, type Query, type Base } from './client';
import type { Action, ApprovedActions, Listed, Me, NewAction, Permission, Route } from './types';
import { useLiveState } from './live';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (count, error) =>
        error instanceof ApiError && error.status > 0 && error.status < 500 ? false : count < 2,
      refetchOnWindowFocus: false,
    },
  },
});

/** Without a live stream every shown query is asked again from time to time. */
const POLL_MS = 30_000;

function usePoll() {
  return useLiveState() === 'live' ? false : POLL_MS;
}

export function useGet<T>(route: Route | null, query?: Query, options?: { poll?: number }) {
  const poll = usePoll();
  return useQuery<T, ApiError>({
    queryKey: [route ?? 'off', query ?? {}],
    queryFn: ({ signal }) => get<T>(route as Route, { query, signal }),
    enabled: route !== null,
    refetchInterval: options?.poll ?? poll,
    placeholderData: keepPreviousData,
  });
}

export const PAGE_ROWS = 100;

export function useList<T>(route: Route | null, query?: Query) {
  const poll = usePoll();
  const result = useInfiniteQuery<Listed<T>, ApiError>({
    queryKey: [route ?? 'off', { ...query, paged: true }],
    queryFn: ({ pageParam, signal }) =>
      get<Listed<T>>(route as Route, {
        query: { ...query, limit: PAGE_ROWS, cursor: pageParam as string | undefined },
        signal,
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    enabled: route !== null,
    refetchInterval: poll,
    placeholderData: keepPreviousData,
  });
  const pages = result.data?.pages;
  return {
    ...result,
    items: pages?.flatMap((page) => page.items),
    total: pages?.[0]?.total ?? 0,
  };
}

/** Routes of one family, so that a change asks all of them again. */
export function invalidate(...prefixes: string[]) {
  return queryClient.invalidateQueries({
    predicate: ({ queryKey }) => {
      const route = String(queryKey[0]);
      return prefixes.some((prefix) => route === prefix || route.startsWith(`${prefix}/`));
    },
  });
}

/** Who is logged in; follows every change. `Session` asks, this only listens. */
export const useMe = () => useQuery<Me, ApiError>({ queryKey: ['/auth/me' satisfies Route, {}], enabled: false }).data;

export function useCan(permission: Permission): boolean {
  const me = useMe();
  return me?.permissions.includes(permission) ?? false;
}

export function usePatch<T>(route: Route, ...families: string[]) {
  return useMutation<T, ApiError, { body: object; base?: Base }>({
    mutationFn: ({ body, base }) => patch<T>(route, body, base),
    onSettled: () => invalidate(route, ...families),
  });
}

/** Actions the API decides about at once. */
const BULK_MAX = 200;
const ACTION_FAMILIES = ['/actions', '/incidents', '/investigations', '/alerts', '/devices', '/messages', '/mail', '/files', '/indicators', '/pivot'];

export function useOrder() {
  return useMutation<Action, ApiError, NewAction>({
    mutationFn: (order) => post<Action>('/actions', order, { idempotencyKey: orderKey() }),
    onSettled: () => invalidate(...ACTION_FAMILIES),
  });
}

export type Decision = 'approve' | 'decline' | 'cancel' | 'pause' | 'resume' | 'retry' | 'undo' | 'disarm' | 'again';

/** Decides about one action or several; what became of each of several comes back. */
export function useDecide() {
  return useMutation<ApprovedActions['results'], Error, { ids: string[]; decision: Decision; comment?: string }>({
    mutationFn: async ({ ids, decision, comment }) => {
      const body = { comment: comment || undefined };
      const results: ApprovedActions['results'] = [];
      if ((decision === 'approve' || decision === 'decline') && ids.length > 1) {
        for (let from = 0; from < ids.length; from += BULK_MAX) {
          results.push(...(await post<ApprovedActions>(`/actions/${decision}`, { ids: ids.slice(from, from + BULK_MAX), ...body })).results);
        }
        return results;
      }
      for (const id of ids) results.push({ id, action: await post<Action>(`/actions/${id}/${decision}`, body), error: null });
      return results;
    },
    onSettled: () => invalidate(...ACTION_FAMILIES),
  });
}
