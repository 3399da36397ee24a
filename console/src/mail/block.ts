// What an action on mail can block besides: senders, their domains, links and files of the messages.
import type { ExplorerMessage, IndicatorKind, IndicatorSpec } from '../api/types';
import { shortHash } from '../lib/entity';

export const blockKinds = ['senderAddress', 'senderDomain', 'url', 'fileSha256'] as const satisfies readonly IndicatorKind[];
export type BlockKind = (typeof blockKinds)[number];
export interface Candidate { kind: BlockKind; value: string; name: string; messages: number }

/** Values offered of one kind, those of most messages first. */
const OFFERED_MAX = 8;
/** Most indicators made with one order; the server takes no more. */
export const BLOCK_MAX = 50;
const DAY_MS = 86_400_000;

export const keyOf = ({ kind, value }: { kind: string; value: string }) => `${kind}:${value}`;

/** What the messages known of offer; nothing of the organisation's own. */
export function candidatesOf(known: ExplorerMessage[], ownDomains: readonly string[]): Candidate[] {
  const own = new Set(ownDomains.map((domain) => domain.toLowerCase()));
  const found = new Map<string, Candidate>();
  const seen = new Set<string>();
  for (const { message } of known) {
    if (seen.has(message.message_id)) continue;
    seen.add(message.message_id);
    const domain = (message.sender_from.split('@')[1] ?? '').toLowerCase();
    const of: [BlockKind, string, string][] = [
      ...message.urls.map((url): [BlockKind, string, string] => ['url', url, url]),
      ...message.attachments.map((file): [BlockKind, string, string] => ['fileSha256', file.sha256, `${file.name} · ${shortHash(file.sha256)}`]),
    ];
    if (domain && !own.has(domain)) of.unshift(['senderAddress', message.sender_from.toLowerCase(), message.sender_from], ['senderDomain', domain, domain]);
    for (const [kind, value, name] of new Map(of.map((one) => [keyOf({ kind: one[0], value: one[1] }), one])).values()) {
      const key = keyOf({ kind, value });
      const before = found.get(key);
      if (before) before.messages += 1;
      else found.set(key, { kind, value, name, messages: 1 });
    }
  }
  return blockKinds.flatMap((kind) => [...found.values()].filter((one) => one.kind === kind).toSorted((a, b) => b.messages - a.messages).slice(0, OFFERED_MAX));
}

/** The indicators of an order; `days` is empty for ones that never end. */
export function specsOf(chosen: readonly Candidate[], days: string, note: string, now: number): IndicatorSpec[] {
  const expires_at = days ? new Date(now + Number(days) * DAY_MS).toISOString() : null;
  return chosen.slice(0, BLOCK_MAX).map(({ kind, value }) => ({ kind, value, action: 'block', severity: kind === 'fileSha256' ? 'high' : 'medium', note: note.slice(0, 200), expires_at }));
}
