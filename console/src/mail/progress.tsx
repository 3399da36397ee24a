// Progress and receipts of an action on mail, copy by copy, with what can still be done about it.
import { Ban, Check, Pause, Play, RefreshCw, RotateCcw, ShieldOff, Undo2, X } from 'lucide-react';
import { useMutation } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { Link } from '../lib/router';
import { post } from '../api/client';
import { invalidate, useCan, useMe, type Decision } from '../api/queries';
import type { Action, MailBulk, ReceiptState } from '../api/types';
import { useNow, useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { number } from '../lib/time';
import { canOrderAgain, canUndo, isApprovedBy, isArmed, Proof, ReceiptTable, useDecisions } from '../actions/item';
import { Button } from '../ui/button';
import { ReceiptChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Facts, TextArea } from '../ui/field';
import { Grid, type Column } from '../ui/grid';
import { Empty } from '../ui/states';
import { Ago, Time } from '../ui/time';
import { useToast } from '../ui/toast';
import { countsOf, failedOf, receiptStates, rowsOf, settledCount, type CopyRow } from './receipts';

/** What is settled grows from the left. */
const BAR: readonly ReceiptState[] = ['done', 'alreadyDone', 'undone', 'notFound', 'cancelled', 'failed', 'running', 'pending'];

type Held = 'pause' | 'resume' | 'cancel';

/** `bulk` is held and stopped as a whole, so that no further actions are made of it. */
export function ProgressButtons({ actions, bulk }: { actions: Action[]; bulk?: MailBulk }) {
  const { t } = useT();
  const may = useCan('act');
  const me = useMe();
  const now = useNow();
  const { busy, run } = useDecisions();
  const toast = useToast();
  const [asking, setAsking] = useState<Decision | null>(null);
  const [comment, setComment] = useState('');
  const hold = useMutation<unknown, Error, Held>({
    mutationFn: (what) => post(`/mail/bulk/${bulk!.id}/${what}`),
    onError: toast.failed,
    onSettled: () => invalidate('/actions', '/mail'),
  });
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const within = (...states: Action['state'][]) => actions.filter((action) => states.includes(action.state));
  const failed = within('partiallySucceeded', 'failed').filter((action) => !action.undone_by && failedOf(action) > 0);
  const of: Record<Decision, Action[]> = {
    approve: within('pendingApproval'), decline: within('pendingApproval'), pause: within('queued', 'running'), resume: within('paused'),
    cancel: within('queued', 'running', 'paused'), retry: failed, undo: actions.filter(canUndo), disarm: actions.filter((action) => isArmed(action, now)),
    again: actions.filter(canOrderAgain),
  };
  const offered = (what: Held) => of[what].length > 0 || (bulk && { pause: ['expanding'], resume: ['paused'], cancel: ['expanding', 'paused'] }[what].includes(bulk.state));
  const start = (decision: Decision) => {
    setComment('');
    setAsking(decision);
  };
  const order = (what: Decision) => {
    if (bulk && (what === 'pause' || what === 'resume' || what === 'cancel')) hold.mutate(what, { onSuccess: () => setAsking(null) });
    else run(of[what].map((action) => action.id), what, comment || undefined, () => setAsking(null));
  };
  const waiting = busy || hold.isPending;
  return (
    <>
      {of.approve.length > 0 ? (
        <>
          <Button variant="primary" why={why || (of.approve.every((action) => isApprovedBy(action, me?.user.name)) && t('approval.own'))} busy={busy} data-test="approve" onClick={() => order('approve')}><Check size={15} aria-hidden />{t('decision.approve')}</Button>
          <Button why={why} data-test="decline" onClick={() => start('decline')}><X size={15} aria-hidden />{t('decision.decline')}</Button>
        </>
      ) : null}
      {offered('pause') ? <Button why={why} busy={waiting} data-test="pause" onClick={() => order('pause')}><Pause size={15} aria-hidden />{t('decision.pause')}</Button> : null}
      {offered('resume') ? <Button why={why} busy={waiting} data-test="resume" onClick={() => order('resume')}><Play size={15} aria-hidden />{t('decision.resume')}</Button> : null}
      {offered('cancel') ? <Button why={why} data-test="cancel" onClick={() => start('cancel')}><Ban size={15} aria-hidden />{t('decision.stop')}</Button> : null}
      {failed.length > 0 ? <Button why={why} busy={busy} data-test="retry" onClick={() => order('retry')}><RefreshCw size={15} aria-hidden />{t('removal.retry', { count: failed.reduce((sum, action) => sum + failedOf(action), 0) })}</Button> : null}
      {of.again.length > 0 ? <Button why={why} busy={busy} data-test="again" onClick={() => order('again')}><RotateCcw size={15} aria-hidden />{t('approval.again')}</Button> : null}
      {of.disarm.length > 0 ? <Button why={why} data-test="disarm" onClick={() => start('disarm')}><ShieldOff size={15} aria-hidden />{t('decision.disarm')}</Button> : null}
      {of.undo.length > 0 ? <Button why={why} data-test="undo" onClick={() => start('undo')}><Undo2 size={15} aria-hidden />{t('decision.undo')}</Button> : null}
      <Dialog open={asking !== null} onClose={() => setAsking(null)} title={asking ? t(`decision.${asking}`) : ''} confirm={asking ? t(`decision.${asking}`) : undefined}
        description={asking ? t('removal.actions', { count: of[asking].length }) : undefined} danger={asking === 'decline'} busy={waiting} test="decision-confirm"
        onConfirm={() => asking && order(asking)}>
        {asking ? <p>{asking === 'undo' ? t('removal.undoHint') : t(`decisionHint.${asking}`)}</p> : null}
        <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
      </Dialog>
    </>
  );
}

/** Whether late copies are still treated, and those that were. */
export function FollowUps({ actions }: { actions: Action[] }) {
  const { t } = useT();
  const now = useNow();
  const armed = actions.filter((action) => isArmed(action, now));
  const until = armed.map((action) => action.follow_up!.until).toSorted().at(-1);
  const disarmed = actions.find((action) => action.follow_up?.disarmed_by)?.follow_up?.disarmed_by;
  const late = actions.flatMap((action) => action.follow_up?.receipts ?? []);
  if (!until && !disarmed && late.length === 0) return null;
  return (
    <section className="card" data-test="follow-up">
      <div className="card-head">
        <h2>{t('actions.late')}</h2>
        <span className="small secondary">{until ? <>{t('actions.armedUntil')} <Time at={until} /></> : disarmed ? t('actions.disarmedBy', { who: disarmed }) : null}</span>
      </div>
      {late.length > 0 ? <ReceiptTable receipts={late.map((one) => one.receipt)} /> : <div className="card-body secondary">{t('removal.noLate')}</div>}
    </section>
  );
}

export function Progress({ actions }: { actions: Action[] }) {
  const { t, text, language } = useT();
  const [only, setOnly] = useState<ReceiptState | null>(null);
  const rows = useMemo(() => rowsOf(actions), [actions]);
  const counts = useMemo(() => countsOf(rows), [rows]);
  const filter = only && counts.has(only) ? only : null;
  const shown = filter ? rows.filter((row) => row.state === filter) : rows;
  const settled = settledCount(counts);
  const [open, setOpen] = useState<CopyRow | null>(null);
  const columns = useMemo<Column<CopyRow>[]>(() => [
    { id: 'mailbox', head: t('columns.mailbox'), width: 'minmax(150px, 1fr)', cell: (row) => <span title={visible(row.recipient)}>{visible(row.recipient)}</span> },
    { id: 'state', head: t('columns.status'), width: '132px', cell: (row) => <ReceiptChip state={row.state} /> },
    { id: 'result', head: t('columns.result'), width: 'minmax(160px, 1.4fr)', from: 620, cell: (row) => <span title={visible(text(row.detail))}>{visible(text(row.detail)) || '—'}</span> },
    { id: 'proof', head: t('columns.proof'), width: 'minmax(160px, 1.2fr)', from: 860, cell: (row) => (row.proof ? <Proof proof={row.proof} line /> : <span className="secondary">—</span>) },
    { id: 'message', head: t('removal.at'), width: '92px', from: 1000, cell: (row) => (row.message ? <Link className="mono" to={to.message(row.message)}>{row.message.slice(-8)}</Link> : '—') },
    { id: 'time', head: t('columns.time'), width: '92px', end: true, from: 520, cell: (row) => <Ago at={row.at} /> },
  ], [t, text]);
  return (
    <section className="card" data-test="progress">
      <div className="card-head"><h2>{t('removal.progress')}</h2><span className="num secondary" role="status">{t('removal.done', { done: number(settled, language), total: number(rows.length, language) })}</span></div>
      <div className="progress-bar" role="progressbar" aria-valuemin={0} aria-valuemax={rows.length} aria-valuenow={settled} aria-label={t('removal.progress')}>
        {BAR.map((state) => (counts.get(state) ? <i key={state} className={`receipt-${state}`} style={{ flexGrow: counts.get(state) }} /> : null))}
      </div>
      <div className="filters progress-states">
        <button type="button" className="chip" aria-pressed={filter === null} onClick={() => setOnly(null)}>{t('removal.all')} <span className="num">{number(rows.length, language)}</span></button>
        {receiptStates.map((state) => (counts.get(state) ? (
          <button key={state} type="button" className="chip" aria-pressed={filter === state} onClick={() => setOnly(filter === state ? null : state)} data-test={`state-${state}`}>
            <i className={`swatch receipt-${state}`} aria-hidden />{t(`receiptState.${state}`)} <span className="num">{number(counts.get(state) ?? 0, language)}</span>
          </button>
        ) : null))}
      </div>
      {shown.length === 0 ? <Empty title={t('removal.none')}>{t('removal.noneHint')}</Empty> : (
        <Grid label={t('removal.progress')} columns={columns} rows={shown} rowKey={(row) => row.key} rowName={(row) => row.recipient} maxHeight="min(620px, 70dvh)" onPeek={setOpen} />
      )}
      <Dialog open={open !== null} onClose={() => setOpen(null)} title={open ? visible(open.recipient) : ''}>
        {open ? (
          <Facts rows={[
            [t('columns.status'), <ReceiptChip key="s" state={open.state} />],
            [t('columns.result'), visible(text(open.detail)) || '—'],
            [t('columns.proof'), open.proof ? <Proof key="p" proof={open.proof} /> : '—'],
            [t('columns.time'), <Time key="t" at={open.at} />],
            open.message !== '' && [t('removal.at'), <Link key="m" className="mono" to={to.message(open.message)}>{open.message}</Link>],
          ]} />
        ) : null}
      </Dialog>
    </section>
  );
}
