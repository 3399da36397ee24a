// Progress and receipts of an action on mail, copy by copy, with what can still be done about it.
import { Ban, Check, RotateCcw, Undo2, X } from 'lucide-react';
import { useMemo, useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { orderKey, post } from '../api/client';
import { invalidate, useCan, type Decision } from '../api/queries';
import type { Action, ReceiptState } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { number } from '../lib/time';
import { canUndo, Proof, useDecisions } from '../actions/item';
import { Button } from '../ui/button';
import { ReceiptChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Facts, TextArea } from '../ui/field';
import { Grid, type Column } from '../ui/grid';
import { Empty } from '../ui/states';
import { Ago, Time } from '../ui/time';
import { useToast } from '../ui/toast';
import { countsOf, receiptStates, retryOf, rowsOf, settledCount, type CopyRow } from './receipts';

/** What is settled grows from the left. */
const BAR: readonly ReceiptState[] = ['done', 'alreadyDone', 'undone', 'notFound', 'failed', 'running', 'pending'];

export function ProgressButtons({ actions }: { actions: Action[] }) {
  const { t } = useT();
  const may = useCan('act');
  const navigate = useNavigate();
  const toast = useToast();
  const { busy, run } = useDecisions();
  const [asking, setAsking] = useState<Decision | null>(null);
  const [comment, setComment] = useState('');
  const [sending, setSending] = useState(false);
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const of: Partial<Record<Decision, Action[]>> & Record<'approve' | 'cancel' | 'undo', Action[]> = {
    approve: actions.filter((action) => action.state === 'pendingApproval'),
    decline: actions.filter((action) => action.state === 'pendingApproval'),
    cancel: actions.filter((action) => action.state === 'queued'),
    undo: actions.filter(canUndo),
  };
  const retries = actions.map((action) => ({ action, retry: retryOf(action) })).filter((one) => one.retry !== null);
  const failed = retries.reduce((sum, { retry }) => sum + retry!.count, 0);
  const retry = async () => {
    setSending(true);
    try {
      let last = '';
      for (const { action, retry: again } of retries) {
        const made = await post<Action>('/actions', { spec: again!.spec, reason: `${t('removal.retryReason')}: ${action.reason.en}`.slice(0, 2_000), incident_id: action.incident_id }, { idempotencyKey: orderKey() });
        last = made.id;
      }
      toast.ok(t('removal.retried'));
      if (retries.length === 1) void navigate(to.action(last));
      else void navigate('/actions?tab=all');
    } catch (error) {
      toast.failed(error);
    } finally {
      setSending(false);
      await invalidate('/actions', '/mail');
    }
  };
  const start = (decision: Decision) => {
    setComment('');
    setAsking(decision);
  };
  return (
    <>
      {of.approve.length > 0 ? (
        <>
          <Button variant="primary" why={why} busy={busy} data-test="approve" onClick={() => run(of.approve.map((action) => action.id), 'approve')}><Check size={15} aria-hidden />{t('decision.approve')}</Button>
          <Button why={why} data-test="decline" onClick={() => start('decline')}><X size={15} aria-hidden />{t('decision.decline')}</Button>
        </>
      ) : null}
      {of.cancel.length > 0 ? <Button why={why} data-test="cancel" onClick={() => start('cancel')}><Ban size={15} aria-hidden />{t('removal.cancel')}</Button> : null}
      {failed > 0 ? <Button why={why} busy={sending} data-test="retry" onClick={() => void retry()}><RotateCcw size={15} aria-hidden />{t('removal.retry', { count: failed })}</Button> : null}
      {of.undo.length > 0 ? <Button why={why} data-test="undo" onClick={() => start('undo')}><Undo2 size={15} aria-hidden />{t('removal.undo')}</Button> : null}
      <Dialog open={asking !== null} onClose={() => setAsking(null)} title={asking ? t(`decision.${asking}`) : ''} confirm={asking ? t(`decision.${asking}`) : undefined}
        description={asking ? t('removal.actions', { count: of[asking]?.length ?? 0 }) : undefined} danger={asking === 'decline'} busy={busy} test="decision-confirm"
        onConfirm={() => asking && run((of[asking] ?? []).map((action) => action.id), asking, comment, () => setAsking(null))}>
        {asking ? <p>{asking === 'undo' ? t('removal.undoHint') : t(`decisionHint.${asking}`)}</p> : null}
        <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
      </Dialog>
    </>
  );
}

export function Progress({ actions }: { actions: Action[] }) {
  const { t, text, language } = useT();
  const [only, setOnly] = useState<ReceiptState | null>(null);
  const rows = useMemo(() => rowsOf(actions), [actions]);
  const counts = useMemo(() => countsOf(rows), [rows]);
  const shown = only ? rows.filter((row) => row.state === only) : rows;
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
        <button type="button" className="chip" aria-pressed={only === null} onClick={() => setOnly(null)}>{t('removal.all')} <span className="num">{number(rows.length, language)}</span></button>
        {receiptStates.map((state) => (counts.get(state) ? (
          <button key={state} type="button" className="chip" aria-pressed={only === state} onClick={() => setOnly(only === state ? null : state)} data-test={`state-${state}`}>
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
