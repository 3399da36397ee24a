import { Ban, Check, RotateCcw, Undo2, Users, X } from 'lucide-react';
import { useState } from 'react';
import { Link } from '../lib/router';
import { ApiError } from '../api/client';
import { useCan, useDecide, useMe, type Decision } from '../api/queries';
import type { Action, ApprovedActions, Receipt } from '../api/types';
import { useNow, useT } from '../i18n';
import { parseEntity, to, visible } from '../lib/entity';
import { proofGroups } from '../lib/proof';
import { ms } from '../lib/time';
import { isMailAction } from '../mail/receipts';
import { Button } from '../ui/button';
import { ActionChip, Chip, ReceiptChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { EntityLink } from '../ui/entity';
import { TextArea } from '../ui/field';
import { Ago, Time } from '../ui/time';
import { useToast } from '../ui/toast';
import { useDeviceNames } from '../devices/names';
import { undoable, useDescribe } from './describe';

export function useDecisions() {
  const { t } = useT();
  const decide = useDecide();
  const toast = useToast();
  return {
    busy: decide.isPending,
    /** What became of each of several actions, when not all could be decided. */
    results: decide.data?.some((one) => one.error) ? decide.data : undefined,
    run: (ids: string[], decision: Decision, comment?: string, after?: (whole: boolean) => void) =>
      decide.mutate(
        { ids, decision, comment },
        {
          onSuccess: (results) => {
            const done = results.filter((one) => !one.error).length;
            if (done > 0) toast.ok(t(`decided.${decision}`, { count: done }));
            if (done < results.length) toast.failed(new Error(t('approval.failed', { count: results.length - done })));
            after?.(done === results.length);
          },
          onError: toast.failed,
        },
      ),
  };
}

export function canUndo(action: Action): boolean {
  if (!undoable.has(action.spec.kind) || action.undone_by) return false;
  // an indicator that was in force before is not this action's to take back
  const indicator = action.receipts.filter((receipt) => receipt.proof?.includes('"indicator_id"'));
  if (indicator.length > 0 && indicator.every((receipt) => receipt.state === 'alreadyDone')) return false;
  // what failed or was stopped half-way is undone as far as it went
  const halfWay = ['failed', 'cancelled'].includes(action.state) && action.receipts.some((receipt) => receipt.state === 'done');
  return halfWay || ['succeeded', 'partiallySucceeded'].includes(action.state);
}

/** It ended before anything was done, and nothing took its place. */
export function canOrderAgain(action: Action): boolean {
  const untouched = action.receipts.every((receipt) => ['pending', 'cancelled'].includes(receipt.state));
  return ['expired', 'declined', 'cancelled'].includes(action.state) && untouched && !action.undoes && !action.approval.again;
}

/** This person approved it, and another one must follow. */
export function isApprovedBy(action: Action, name?: string): boolean {
  const { given, needed } = action.approval;
  return given.length < needed && given.some((one) => one.by === name);
}

/** How many of the persons needed have approved, and who. */
export function Approvals({ action }: { action: Action }) {
  const { t } = useT();
  const { needed, given } = action.approval;
  if (needed < 2) return null;
  return (
    <Chip tone={given.length < needed ? 'medium' : 'ok'}>
      <Users size={13} aria-hidden />
      <span data-test="approvals">{t('approval.of', { given: given.length, needed })}{given.length > 0 ? ` · ${t('approval.by', { who: given.map((one) => visible(one.by)).join(', ') })}` : ''}</span>
    </Chip>
  );
}

/** What was decided about an action, and why. */
export function History({ action }: { action: Action }) {
  const { t, text } = useT();
  return (
    <div className="receipts small" data-test="history">
      <div className="strong">{t('approval.history')}</div>
      <ul className="column" style={{ gap: 4, marginTop: 4 }}>
        {action.approval.history.map((note, at) => (
          <li key={at} className="row wrapping"><span className="secondary"><Time at={note.at} /> {visible(note.by)}</span> <span className="wrap">{visible(text(note.text))}</span></li>
        ))}
      </ul>
    </div>
  );
}

/** What became of each of several actions. */
export function DecisionResults({ results }: { results: ApprovedActions['results'] }) {
  const { t, language } = useT();
  return (
    <div className="banner high" role="status" data-test="decision-results">
      <div className="column" style={{ gap: 4 }}>
        <span className="strong">{t('approval.result')}</span>
        <ul>
          {results.map((one) => (
            <li key={one.id}>
              <Link className="mono" to={to.action(one.id)}>{one.id.slice(-8)}</Link>: {one.error ? new ApiError(one.error).text(language) : t('approval.ok')}
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

/** Late copies are treated: not disarmed, not over. */
export function isArmed(action: Action, now: number): boolean {
  return !!action.follow_up && !action.follow_up.disarmed_at && ms(action.follow_up.until) > now;
}

/** One action with its decision buttons and the receipt of every target. */
export function ActionItem({ action, showIncident, selected, onSelect, openReceipts }: {
  action: Action; showIncident?: boolean; selected?: boolean; onSelect?: () => void; openReceipts?: boolean;
}) {
  const { t, text } = useT();
  const describe = useDescribe();
  const may = useCan('act');
  const me = useMe();
  const now = useNow();
  const [asking, setAsking] = useState<Decision | null>(null);
  const [comment, setComment] = useState('');
  const { busy, run } = useDecisions();
  const { title, target } = describe(action.spec);
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const own = isApprovedBy(action, me?.user.name) && t('approval.own');
  const start = (decision: Decision) => {
    setComment('');
    setAsking(decision);
  };
  return (
    <div className="action-item" data-test="action" data-state={action.state} data-kind={action.spec.kind}>
      <div style={{ paddingTop: 2 }}>
        {onSelect ? (
          <input type="checkbox" className="checkbox" checked={selected} onChange={onSelect} aria-label={t('grid.select', { name: `${title} ${target}` })} />
        ) : null}
      </div>
      <div className="column" style={{ gap: 3 }}>
        <div className="row wrapping">
          <Link to={to.action(action.id)} className="strong" style={{ color: 'var(--text)' }} data-test="action-link">{title}</Link>
          <ActionChip state={action.state} />
          <Approvals action={action} />
        </div>
        <div className="truncate" title={visible(target)}>{visible(target)}</div>
        <div className="secondary small wrap">{visible(text(action.reason))}</div>
        <div className="secondary small row wrapping">
          <span>{t('actions.by', { who: action.proposed_by })}</span>
          <Ago at={action.created_at} />
          {action.decided_by ? <span>· {t('actions.decidedBy', { who: action.decided_by })}</span> : null}
          {action.comment ? <span>· “{visible(action.comment)}”</span> : null}
          {action.state === 'pendingApproval' ? <Expiry at={action.expires_at} /> : null}
          {action.state === 'pendingApproval' && action.approval.unanswered ? (
            <span>· {t(`approval.turn.${action.approval.unanswered.then}`)} <Ago at={action.approval.unanswered.at} /></span>
          ) : null}
          {showIncident && action.incident_id ? <Link to={to.incident(action.incident_id)}>{t('actions.incident')}</Link> : null}
          {action.investigation_id ? <Link to={to.investigation(action.investigation_id)}>{t('actions.investigation')}</Link> : null}
        </div>
      </div>
      <div className="buttons">
        {action.state === 'pendingApproval' ? (
          <>
            <Button compact variant="primary" why={why || own} busy={busy} onClick={() => run([action.id], 'approve')} data-test="approve">
              <Check size={14} aria-hidden />
              {t('decision.approve')}
            </Button>
            <Button compact why={why} onClick={() => start('decline')} data-test="decline">
              <X size={14} aria-hidden />
              {t('decision.decline')}
            </Button>
          </>
        ) : null}
        {isMailAction(action) && ['queued', 'running'].includes(action.state) ? (
          <Button compact why={why} busy={busy} onClick={() => run([action.id], 'pause')} data-test="pause">
            {t('decision.pause')}
          </Button>
        ) : null}
        {action.state === 'paused' ? (
          <Button compact why={why} busy={busy} onClick={() => run([action.id], 'resume')} data-test="resume">
            {t('decision.resume')}
          </Button>
        ) : null}
        {action.state === 'queued' || (isMailAction(action) && ['running', 'paused'].includes(action.state)) ? (
          <Button compact why={why} onClick={() => start('cancel')} data-test="cancel">
            <Ban size={14} aria-hidden />
            {t(action.state === 'queued' ? 'decision.cancel' : 'decision.stop')}
          </Button>
        ) : null}
        {isMailAction(action) && !action.undone_by && ['partiallySucceeded', 'failed'].includes(action.state) ? (
          <Button compact why={why} onClick={() => start('retry')} data-test="retry">
            <RotateCcw size={14} aria-hidden />
            {t('decision.retry')}
          </Button>
        ) : null}
        {isArmed(action, now) ? (
          <Button compact why={why} onClick={() => start('disarm')} data-test="disarm">
            {t('decision.disarm')}
          </Button>
        ) : null}
        {canOrderAgain(action) ? (
          <Button compact why={why} busy={busy} onClick={() => run([action.id], 'again')} data-test="again">
            <RotateCcw size={14} aria-hidden />
            {t('approval.again')}
          </Button>
        ) : null}
        {canUndo(action) ? (
          <Button compact why={why} onClick={() => start('undo')} data-test="undo">
            <Undo2 size={14} aria-hidden />
            {t('decision.undo')}
          </Button>
        ) : null}
      </div>
      {action.receipts.length > 0 ? <Receipts receipts={action.receipts} open={openReceipts} /> : null}
      {openReceipts && action.approval.history.length > 0 ? <History action={action} /> : null}
      {action.approval.again ? (
        <div className="receipts small secondary row">
          <RotateCcw size={13} aria-hidden />
          {t('approval.orderedAgain')} <Link className="mono" to={to.action(action.approval.again)} data-test="ordered-again">{action.approval.again.slice(-8)}</Link>
        </div>
      ) : null}
      {action.follow_up?.disarmed_by ? (
        <div className="receipts small secondary">{t('actions.disarmedBy', { who: action.follow_up.disarmed_by })}</div>
      ) : isArmed(action, now) && action.follow_up ? (
        <div className="receipts small secondary row">
          {t('actions.armedUntil')} <Time at={action.follow_up.until} />
        </div>
      ) : null}
      {action.follow_up && action.follow_up.receipts.length > 0 ? (
        <div className="receipts" data-test="late">
          <div className="small strong">{t('actions.late')}</div>
          <ReceiptTable receipts={action.follow_up.receipts.map((late) => late.receipt)} />
        </div>
      ) : null}
      {action.undone_by ? (
        <div className="receipts small secondary row">
          <RotateCcw size={13} aria-hidden />
          {t('actions.undoneBy')} <Link className="mono" to={to.action(action.undone_by)}>{action.undone_by.slice(-8)}</Link>
        </div>
      ) : null}
      <Dialog
        open={asking !== null}
        onClose={() => setAsking(null)}
        title={asking ? `${t(`decision.${asking}`)}: ${title}` : ''}
        description={target}
        confirm={asking ? t(`decision.${asking}`) : undefined}
        danger={asking === 'decline'}
        busy={busy}
        onConfirm={() => asking && run([action.id], asking, comment, () => setAsking(null))}
        test="decision-confirm"
      >
        {asking ? <p>{t(`decisionHint.${asking}`)}</p> : null}
        <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
      </Dialog>
    </div>
  );
}

function Expiry({ at }: { at: string }) {
  const { t } = useT();
  const now = useNow();
  const soon = ms(at) - now < 86_400_000;
  return (
    <span style={soon ? { color: 'var(--medium)' } : undefined}>
      · {t('actions.expires')} <Ago at={at} />
    </span>
  );
}

function Receipts({ receipts, open }: { receipts: Receipt[]; open?: boolean }) {
  const { t } = useT();
  const counts = new Map<Receipt['state'], number>();
  for (const receipt of receipts) counts.set(receipt.state, (counts.get(receipt.state) ?? 0) + 1);
  return (
    <details className="receipts" open={open} data-test="receipts">
      <summary>
        <span className="row wrapping">
          {t('actions.receipts', { count: receipts.length })}
          {[...counts].map(([state, count]) => (
            <span key={state} className="row" style={{ gap: 4 }}>
              <ReceiptChip state={state} /> <span className="num secondary">{count}</span>
            </span>
          ))}
        </span>
      </summary>
      <ReceiptTable receipts={receipts} />
    </details>
  );
}

export function ReceiptTable({ receipts }: { receipts: Receipt[] }) {
  const { t, text } = useT();
  const names = useDeviceNames();
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead>
          <tr>
            <th>{t('columns.target')}</th>
            <th>{t('columns.status')}</th>
            <th>{t('columns.result')}</th>
            <th>{t('columns.proof')}</th>
            <th>{t('columns.time')}</th>
          </tr>
        </thead>
        <tbody>
          {receipts.map((receipt, at) => {
            const { kind, value } = parseEntity(receipt.target);
            return (
              <tr key={`${receipt.target} ${at}`}>
                <td>
                  <EntityLink entity={receipt.target} name={kind === 'device' ? names(value) : undefined} />
                </td>
                <td>
                  <ReceiptChip state={receipt.state} />
                </td>
                <td className="wrap">{visible(text(receipt.detail))}</td>
                <td>{receipt.proof ? <Proof proof={receipt.proof} /> : <span className="secondary">—</span>}</td>
                <td>
                  <span className="hide-phone"><Time at={receipt.at} /></span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** What each row says already, and hashes, only in full. */
const LONG = /^(mailbox|sha256|id\.kind)$/;

export function Proof({ proof, line }: { proof: string; line?: boolean }) {
  const groups = proofGroups(proof);
  return (
    <span className="mono small">
      {groups.map((group, index) => (
        <span key={index} className="proof" style={{ display: line ? 'inline' : 'block' }}>
          {group.filter(([name]) => !line || !LONG.test(name)).map(([name, value]) => (
            <span key={name} style={{ display: line ? 'inline' : 'block', marginRight: line ? 8 : 0 }}>
              {name ? <span className="secondary">{visible(line ? name.replace(/\bid\./, '') : name)} </span> : null}
              {visible(value)}
            </span>
          ))}
        </span>
      ))}
    </span>
  );
}
