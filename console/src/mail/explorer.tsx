// Every mail of every mailbox: filters in the URL, counts over time, flat or grouped, actions on what is chosen.
import { Layers, Mails, Paperclip } from 'lucide-react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Link, useNavigate, useSearchParams } from '../lib/router';
import { useCan, useList } from '../api/queries';
import type { ExplorerMessage } from '../api/types';
import { useNow, useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { useKeys } from '../lib/keys';
import { number } from '../lib/time';
import { Button } from '../ui/button';
import { VerdictChip } from '../ui/chips';
import { Grid, type Column } from '../ui/grid';
import { ListTools, useHidden } from '../ui/list-tools';
import { Empty, EmptyFiltered, ErrorState, Skeleton, Stale } from '../ui/states';
import { Ago } from '../ui/time';
import { FilterBar } from './bar';
import { CountsChart, pivots, type PivotName } from './chart';
import { CrawlNote } from './crawl';
import { addToken, filterOf, queryOf, readQuery, writeQuery, type MailQuery, type Token } from './filter';
import { copyFields } from './fields';
import { Groups, groupings, type Grouping } from './groups';
import { MessagePane } from './pane';
import { Places } from './where';
import { useWizard, type Scope } from './wizard';
import '../styles/pages.css';
import '../styles/mail.css';

/** Values one condition of a filter takes. */
const PICKED_MAX = 50;
/** Copies of one action. */
const COPIES_MAX = 5_000;
const copiesOf = (picked: ExplorerMessage[]) => picked.flatMap((one) => one.recipients.map(({ recipient }) => ({ message_id: one.message.message_id, recipient })));
/** Parameters of the page without what is picked. */
function unpicked(params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(params);
  next.delete('picked');
  next.delete('all');
  return next;
}
/** Pages without a row, one after the other, asked for by itself. */
const EMPTY_PAGES_MAX = 20;

export default function MailExplorer() {
  const { t, language } = useT();
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const now = useNow();
  const may = useCan('act');
  const [ask, wizard] = useWizard();
  const search = useRef<HTMLInputElement>(null);
  const [hidden] = useHidden();
  const query = useMemo(() => readQuery(params), [params]);
  const asked = useMemo(() => queryOf(query, now), [query, now]);
  const grouping = groupings.find((one) => one === params.get('group'));
  const pivot = pivots.find((one) => one === params.get('pivot')) ?? 'verdict';
  const pane = params.get('pane');
  const incident = params.get('incident');
  const all = params.get('all') === '1';
  const inUrl = params.get('picked');
  // more than an address line holds are remembered by the page alone
  const [many, setMany] = useState<ReadonlySet<string> | null>(null);
  const selected = useMemo(() => many ?? new Set(inUrl?.split(',').filter(Boolean)), [many, inUrl]);
  const list = useList<ExplorerMessage>(grouping ? null : '/mail/explorer', asked);
  const items = list.items;
  const exact = list.data?.pages[0] && 'total_exact' in list.data.pages[0] ? Boolean(list.data.pages[0].total_exact) : true;

  const write = useCallback((change: (next: URLSearchParams) => void, drop = false) => {
    if (drop) setMany(null);
    setParams((before) => {
      const next = drop ? unpicked(before) : new URLSearchParams(before);
      change(next);
      return next;
    }, { replace: true });
  }, [setParams]);
  const pick = useCallback((picked: ReadonlySet<string>) => {
    setMany(picked.size > PICKED_MAX ? picked : null);
    setParams((before) => {
      const next = unpicked(before);
      if (picked.size > 0 && picked.size <= PICKED_MAX) next.set('picked', [...picked].join(','));
      return next;
    }, { replace: true });
  }, [setParams]);
  const setQuery = useCallback((query: MailQuery, drop = '') => {
    setMany(null);
    setParams((before) => {
      const next = writeQuery(unpicked(before), query);
      next.delete(drop);
      return next;
    }, { replace: true });
  }, [setParams]);
  const put = (name: string, value: string | null) => write((next) => (value ? next.set(name, value) : next.delete(name)));
  const addFilter = (token: Token) => setQuery({ ...query, tokens: addToken(query.tokens, token) });

  // a page of the search may be empty and still lead on
  const tried = useRef(0);
  const empty = items !== undefined && items.length === 0;
  useEffect(() => {
    if (!empty) tried.current = 0;
    else if (list.hasNextPage && !list.isFetchingNextPage && tried.current < EMPTY_PAGES_MAX) {
      tried.current += 1;
      void list.fetchNextPage();
    }
  }, [empty, list]);

  useKeys({ Escape: () => put('pane', null) });
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const narrowed = query.tokens.length > 0;
  const scopeOfAll = (): Scope => ({ filter: filterOf(query, Date.now()), messages: list.total, known: items ?? [], all: true, since: new Date(list.dataUpdatedAt).toISOString(), incident });
  // what the filter says about recipients and places holds for what is picked from its rows
  const narrow = query.tokens.filter(({ field }) => copyFields.has(field));
  const picks = (values: string[]) => ({ conditions: [{ field: 'message' as const, values, negate: false }, ...narrow] });
  const scopeOfPicked = (): Scope => {
    const known = (items ?? []).filter((one) => selected.has(one.message.message_id));
    const since = new Date(list.dataUpdatedAt).toISOString();
    // more than one condition holds are named copy by copy
    if (selected.size > PICKED_MAX) return { copies: copiesOf(known), messages: selected.size, known, since, incident };
    return { filter: picks([...selected]), messages: selected.size, known, narrow, since, incident };
  };
  const whyNot = () => {
    if (why) return why;
    if (all) return !narrowed && t('explorer.needFilter');
    const picked = (items ?? []).filter((one) => selected.has(one.message.message_id));
    return selected.size > PICKED_MAX && (narrow.length > 0 || picked.some((one) => one.recipient_count > one.recipients.length) || copiesOf(picked).length > COPIES_MAX) && t('explorer.tooMany');
  };

  const columns = useMemo<Column<ExplorerMessage>[]>(() => [
    { id: 'subject', head: t('columns.subject'), width: 'minmax(140px, 1fr)', cell: ({ message }) => <Link to={to.message(message.message_id)} className="strong" style={{ color: 'var(--text)' }}>{visible(message.subject) || t('mail.noSubject')}</Link> },
    { id: 'sender', head: t('columns.sender'), width: '200px', from: 850, cell: ({ message }) => visible(message.sender_from || message.sender_mail_from) },
    {
      id: 'recipients', head: t('explorer.recipients'), width: '190px', from: 1030, cell: (row) => (
        <span className="row"><span className="truncate">{visible(row.message.recipient)}</span>{row.recipient_count > 1 ? <span className="chip num" title={t('explorer.groupRecipients', { count: row.recipient_count })}>{t('explorer.more', { count: number(row.recipient_count - 1, language) })}</span> : null}</span>
      ),
    },
    { id: 'files', head: t('columns.files'), width: '52px', from: 1090, cell: ({ message }) => (message.attachments.length ? <span className="row num" style={{ gap: 4 }}><Paperclip size={14} aria-hidden />{message.attachments.length}</span> : '') },
    { id: 'verdict', head: t('columns.verdict'), width: '132px', from: 620, cell: ({ message }) => <VerdictChip verdict={message.verdict} /> },
    { id: 'delivered', head: t('columns.delivered'), width: '150px', from: 1250, cell: (row) => <Places recipients={row.recipients} of={(state) => state.delivery_location} /> },
    { id: 'now', head: t('columns.now'), width: 'minmax(150px, 190px)', cell: (row) => <Places recipients={row.recipients} /> },
    { id: 'time', head: t('columns.time'), width: '92px', end: true, from: 470, cell: ({ message }) => <Ago at={message.received_at} /> },
  ], [t, language]);

  const shown = items?.find((one) => one.message.message_id === pane);
  const total = exact ? t('explorer.total', { count: number(list.total, language) }) : t('explorer.totalAtLeast', { count: number(list.total, language) });
  const filtered = narrowed || query.span.range !== 'all';
  return (
    <Page title={t('nav.mail')} full subtitle={<CrawlNote />}
      buttons={
        <>
        {grouping ? null : <ListTools source={{ route: '/mail/explorer', query: asked }} columns={columns} />}
        <div className="switch-group" role="group" aria-label={t('explorer.view')}>
          <button type="button" aria-pressed={!grouping} onClick={() => write((next) => next.delete('group'), true)}><Mails size={14} aria-hidden /> {t('explorer.flat')}</button>
          <button type="button" aria-pressed={Boolean(grouping)} onClick={() => write((next) => { next.set('group', 'campaign'); next.delete('pane'); }, true)} data-test="grouped"><Layers size={14} aria-hidden /> {t('explorer.grouped')}</button>
        </div>
        </>
      }>
      {wizard}
      <FilterBar query={query} onChange={(next) => setQuery(next)} inputRef={search} />
      <CountsChart query={asked} pivot={pivot} onPivot={(next: PivotName) => put('pivot', next === 'verdict' ? null : next)}
        onSpan={(from, until) => setQuery({ ...query, span: { range: 'custom', from: new Date(from).toISOString(), to: new Date(until).toISOString() } })}
        onValue={(value) => addFilter({ field: pivot, negate: false, values: [value] })} />
      <div className="queue mail-queue" data-pane={Boolean(pane) && !grouping}>
        <div className="grid" style={{ minHeight: 0 }}>
          {grouping ? (
            <Groups query={query} asked={asked} by={grouping} onAct={ask} onBy={(by: Grouping) => put('group', by)}
              onOpen={(token) => setQuery({ ...query, tokens: addToken(query.tokens, token) }, 'group')} />
          ) : (
            <>
              <Stale query={list} />
              {!items || (empty && list.hasNextPage && tried.current < EMPTY_PAGES_MAX) ? (
                list.error ? <ErrorState error={list.error} retry={() => void list.refetch()} /> : <Skeleton rows={10} height={22} />
              ) : empty ? (
                filtered ? <EmptyFiltered onClear={() => setQuery({ tokens: [], span: { range: 'all' } })} /> : <Empty title={t('explorer.none')}>{t('explorer.noneHint')}</Empty>
              ) : (
                <Grid label={`${t('nav.mail')}, ${total}`} columns={columns.filter((column) => column.id === 'subject' || !hidden.has(column.id))} rows={items} total={list.total} rowKey={(row) => row.message.message_id}
                  rowName={(row) => visible(row.message.subject)} onOpen={(row) => void navigate(to.message(row.message.message_id))}
                  onPeek={(row) => put('pane', row.message.message_id)} current={shown?.message.message_id ?? null}
                  selected={may ? selected : undefined} onSelected={may ? pick : undefined}
                  hasMore={list.hasNextPage && !list.isFetchingNextPage} loadMore={() => void list.fetchNextPage()} />
              )}
              {selected.size > 0 || all ? (
                <div className="bulk" role="region" aria-label={t('grid.bulk')}>
                  <span className="grow">{all ? t('explorer.allSelected', { count: number(list.total, language) }) : t('grid.selected', { count: selected.size })}</span>
                  {!all && list.total > selected.size ? (
                    <Button compact variant="quiet" onClick={() => put('all', '1')} data-test="select-all-matching">{t('explorer.selectAll', { count: number(list.total, language) })}</Button>
                  ) : null}
                  <Button compact variant="primary" data-test="act"
                    why={whyNot()}
                    onClick={() => ask(all ? scopeOfAll() : scopeOfPicked())}>
                    {t('explorer.act')}
                  </Button>
                  <Button compact variant="quiet" onClick={() => pick(new Set())}>{t('grid.clear')}</Button>
                </div>
              ) : null}
            </>
          )}
        </div>
        {pane && !grouping ? (
          <MessagePane id={pane} row={shown} onClose={() => put('pane', null)} onFilter={addFilter}
            onAct={(row) => ask({ filter: picks([row.message.message_id]), messages: 1, known: [row], narrow, since: new Date(list.dataUpdatedAt).toISOString(), incident })} why={why} />
        ) : null}
      </div>
    </Page>
  );
}

