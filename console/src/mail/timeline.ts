// What happened to a message, from its copies and the actions that moved them.
import type { Action, DeliveryLocation, MessageCopy, Timestamp } from '../api/types';
import { moverOf } from './where';

export type Happening =
  | { kind: 'received' | 'known'; at: Timestamp; count: number; ip: string }
  | { kind: 'delivered'; at: Timestamp; count: number; place: DeliveryLocation }
  | { kind: 'movedOwner' | 'movedAction'; at: Timestamp; count: number; place: DeliveryLocation; action: string | null }
  | { kind: 'ordered' | 'finished'; at: Timestamp; action: Action; who: string };

/** Moves within this time by the same hand to the same place are told as one. */
const TOGETHER_MS = 60_000;

export function timelineOf(copies: MessageCopy[], actions: Action[]): Happening[] {
  const out: Happening[] = [];
  for (const [at, of] of grouped(copies, (copy) => `${copy.received_at} ${copy.source}`)) {
    const first = of[0]!;
    out.push({ kind: first.source === 'crawl' ? 'known' : 'received', at: at.slice(0, at.indexOf(' ')), count: of.length, ip: first.sender_ip });
    for (const [place, there] of grouped(of, (copy) => copy.delivery_location)) out.push({ kind: 'delivered', at: first.received_at, count: there.length, place: place as DeliveryLocation });
  }
  const moved = copies.filter((copy) => copy.moved_by && copy.moved_at);
  for (const [, of] of grouped(moved, (copy) => `${copy.moved_by} ${copy.latest_location}`)) {
    const sorted = of.toSorted((a, b) => a.moved_at!.localeCompare(b.moved_at!));
    let start = 0;
    for (let index = 1; index <= sorted.length; index += 1) {
      const last = index === sorted.length;
      if (!last && Date.parse(sorted[index]!.moved_at!) - Date.parse(sorted[index - 1]!.moved_at!) <= TOGETHER_MS) continue;
      const part = sorted.slice(start, index);
      const action = moverOf(part[0]!);
      out.push({ kind: action ? 'movedAction' : 'movedOwner', at: part[0]!.moved_at!, count: part.length, place: part[0]!.latest_location, action });
      start = index;
    }
  }
  for (const action of actions) {
    out.push({ kind: 'ordered', at: action.created_at, action, who: action.proposed_by });
    if (action.finished_at) out.push({ kind: 'finished', at: action.finished_at, action, who: action.decided_by ?? action.proposed_by });
  }
  const order = ['received', 'known', 'delivered', 'ordered', 'movedOwner', 'movedAction', 'finished'];
  return out.toSorted((a, b) => a.at.localeCompare(b.at) || order.indexOf(a.kind) - order.indexOf(b.kind));
}

function grouped<T>(items: T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group) group.push(item);
    else groups.set(name, [item]);
  }
  return groups;
}
