// The steps of a pivot as a line of time people can read: what happened to one mail or on one device is told once.
import type { PivotStage, PivotStep, Timestamp } from '../api/types';
import { parseEntity } from '../lib/entity';

export interface Stop {
  stage: PivotStage;
  at: Timestamp;
  last: Timestamp;
  /** Device, or mailbox of the first copy. */
  entity: string;
  /** NetworkMessageId; empty on a device. */
  message: string;
  /** What it happened to, where it is not the value asked for. */
  value: string;
  /** Names of devices, or mailboxes. */
  places: string[];
  detail: string;
  by: string;
}

/** A copy that came and stayed is told by its arrival. */
const TOLD_BY_ARRIVAL: readonly PivotStage[] = ['delivered'];

export function stopsOf(steps: readonly PivotStep[]): Stop[] {
  const stops = new Map<string, Stop>();
  for (const step of steps.toSorted((a, b) => a.at.localeCompare(b.at))) {
    if (TOLD_BY_ARRIVAL.includes(step.stage)) continue;
    const { kind, value } = parseEntity(step.entity);
    const message = kind === 'messageCopy' ? value.slice(0, value.indexOf('/')) : kind === 'message' ? value : '';
    const key = [step.stage, message || step.entity, message ? (step.by ?? '') : step.value].join('\n');
    const there = stops.get(key);
    if (!there) stops.set(key, { stage: step.stage, at: step.at, last: step.at, entity: step.entity, message, value: step.value, places: [step.place], detail: step.detail, by: step.by ?? '' });
    else {
      there.last = step.at;
      if (!there.places.includes(step.place)) there.places.push(step.place);
    }
  }
  return [...stops.values()];
}

/** The action that moved a mail. */
export const actionOf = (by: string): string | null => (by.startsWith('action:') ? by.slice('action:'.length) : null);
