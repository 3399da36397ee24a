// The state of every copy over all actions of an order.
import type { Action, MessageCopyRef, Receipt, ReceiptState } from '../api/types';
import { parseEntity } from '../lib/entity';

export interface CopyRow extends Receipt { key: string; action: Action; message: string; recipient: string }

/** While something runs it is asked for at least this often. */
export const RUNNING_POLL_MS = 2_000;

/** States in the order people ask for them. */
export const receiptStates = ['failed', 'running', 'pending', 'done', 'alreadyDone', 'notFound', 'cancelled', 'undone'] as const satisfies readonly ReceiptState[];

export const isMailAction = (action: Action): boolean => 'copies' in action.spec || action.spec.kind === 'restore_messages';
export const failedOf = (action: Action): number => action.receipts.filter((receipt) => receipt.state === 'failed').length;
const OVER: readonly string[] = ['declined', 'succeeded', 'partiallySucceeded', 'failed', 'expired', 'cancelled', 'undone'];
export const isOver = (action: Action): boolean => OVER.includes(action.state);

/** One row per copy: its receipt, or that it still waits. */
export function rowsOf(actions: Action[]): CopyRow[] {
  return actions.flatMap((action) => {
    const known = new Set<string>();
    const rows = action.receipts.map((receipt): CopyRow => {
      known.add(receipt.target);
      const { kind, value } = parseEntity(receipt.target);
      const slash = value.indexOf('/');
      const copy = kind === 'messageCopy' && slash > 0;
      return { ...receipt, key: `${action.id}/${receipt.target}`, action, message: copy ? value.slice(0, slash) : '', recipient: copy ? value.slice(slash + 1) : value };
    });
    if (isOver(action) || !('copies' in action.spec)) return rows;
    const waiting = action.spec.copies.filter((copy) => !known.has(targetOf(copy))).map((copy): CopyRow => ({
      key: `${action.id}/${targetOf(copy)}`, action, message: copy.message_id, recipient: copy.recipient, target: targetOf(copy), state: 'pending', detail: { en: '', ja: '' }, proof: null, at: action.created_at,
    }));
    return [...rows, ...waiting];
  });
}

const targetOf = (copy: MessageCopyRef) => `messageCopy:${copy.message_id}/${copy.recipient}`;

export function countsOf(rows: { state: ReceiptState }[]): Map<ReceiptState, number> {
  const counts = new Map<ReceiptState, number>();
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** Copies that will not change any more by themselves. */
export function settledCount(counts: Map<ReceiptState, number>): number {
  let sum = 0;
  for (const [state, count] of counts) if (state !== 'pending' && state !== 'running') sum += count;
  return sum;
}
