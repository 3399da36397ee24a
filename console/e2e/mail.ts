// The mail part of the mock: explorer, dry run, actions by filter; conditions as the server reads them.
import type {
  ActionSpec, CrawlStatus, DryRunResult, ExplorerCounts, ExplorerGroups, ExplorerMessage, MailBulk, MailField, MailFilter, MessageCopy,
  MessageRemedy, NeedsPerson, NewMailBulk,
} from '../src/api/types';
import { isMailField } from '../src/mail/fields';
import { readQuery } from '../src/mail/filter';
import * as seed from './data';

const HOUR_MS = 3_600_000;
const GONE = ['quarantine', 'dropped'];

function valuesOf(field: MailField, copy: MessageCopy): string[] {
  switch (field) {
    case 'sender': return [copy.sender_from, copy.sender_mail_from];
    case 'sender_address': return [copy.sender_from];
    case 'sender_domain': return [copy.sender_from.split('@')[1] ?? ''];
    case 'recipient': return [copy.recipient];
    case 'subject': return [copy.subject];
    case 'message': return [copy.message_id];
    case 'campaign': return [copy.campaign];
    case 'attachment_sha256': return copy.attachments.map((one) => one.sha256);
    case 'attachment_name': return copy.attachments.map((one) => one.name);
    case 'url': return copy.urls;
    case 'url_domain': return copy.url_domains;
    case 'verdict': return [copy.verdict];
    case 'threat': return copy.threats;
    case 'engine': return copy.filters.map((one) => one.engine);
    case 'location': return [copy.latest_location];
    case 'original_location': return [copy.delivery_location];
    case 'delivery_action': return [copy.delivery_action];
    case 'direction': return [copy.direction];
    case 'source': return [copy.source];
    case 'spf': case 'dkim': case 'dmarc': return [copy.auth[field]];
    default: return [];
  }
}

export function pick(messages: MessageCopy[], filter: MailFilter): MessageCopy[] {
  return messages.filter((copy) =>
    (!filter.from || copy.received_at >= filter.from) && (!filter.to || copy.received_at < filter.to) &&
    (filter.conditions ?? []).every(({ field, values, negate }) => {
      const all = JSON.stringify([copy.subject, copy.sender_from, copy.sender_display_name, copy.recipient, copy.attachments.map((one) => one.name)]).toLowerCase();
      const holds = field === 'text'
        ? values.every((value) => value.toLowerCase().split(/\s+/).every((word) => all.includes(word)))
        : valuesOf(field, copy).some((value) => values.some((one) => one.toLowerCase() === value.toLowerCase()));
      return holds !== Boolean(negate);
    }));
}

export function filterOf(query: URLSearchParams): MailFilter {
  for (const name of query.keys()) {
    if (!isMailField(name.replace(/^not\./, '')) && !['from', 'to', 'cursor', 'limit', 'group_by', 'pivot'].includes(name)) throw new Error(`unknown parameter ${name}`);
  }
  return { conditions: readQuery(query).tokens, from: query.get('from'), to: query.get('to') };
}

export function explored(copies: MessageCopy[], all: MessageCopy[]): ExplorerMessage[] {
  const messages = new Map<string, MessageCopy>();
  for (const copy of copies) if (!messages.has(copy.message_id)) messages.set(copy.message_id, copy);
  return [...messages.values()].map((message) => {
    const own = all.filter((copy) => copy.message_id === message.message_id);
    return { message, recipients: own.map(({ recipient, delivery_action, delivery_location, latest_location, folder, moved_at, moved_by }) => ({ recipient, delivery_action, delivery_location, latest_location, folder, moved_at, moved_by })), recipient_count: own.length };
  });
}

export function counts(copies: MessageCopy[], pivot: string): ExplorerCounts {
  const values = (list: MessageCopy[]) => {
    const sums = new Map<string, Set<string>>();
    for (const copy of list) for (const value of valuesOf(pivot as MailField, copy)) sums.set(value, (sums.get(value) ?? new Set()).add(copy.message_id));
    return [...sums].map(([value, of]) => ({ value, count: of.size }));
  };
  const ids = (list: MessageCopy[]) => new Set(list.map((copy) => copy.message_id)).size;
  const starts = [...new Set(copies.map((copy) => Math.floor(Date.parse(copy.received_at) / HOUR_MS) * HOUR_MS))].toSorted((a, b) => a - b);
  return {
    bucket_hours: 1, total: ids(copies), total_exact: true, since: null, values: values(copies),
    buckets: starts.map((start) => {
      const list = copies.filter((copy) => Math.floor(Date.parse(copy.received_at) / HOUR_MS) * HOUR_MS === start);
      return { start: new Date(start).toISOString(), total: ids(list), values: values(list) };
    }),
  };
}

export function groups(copies: MessageCopy[], all: MessageCopy[]): ExplorerGroups {
  const keys = [...new Set(copies.map((copy) => copy.campaign))];
  const items = keys.map((key) => {
    const list = copies.filter((copy) => copy.campaign === key);
    const messages = explored(list, all);
    return { key, messages: messages.length, recipients: list.length, first: list.at(-1)!.received_at, last: list[0]!.received_at, sample: messages[0]! };
  });
  return { items: items.toSorted((a, b) => b.messages - a.messages), alone: 4, since: null };
}

export function dryRun(copies: MessageCopy[], all: MessageCopy[], since: string | null | undefined): DryRunResult {
  const there = copies.filter((copy) => !GONE.includes(copy.latest_location));
  const locations = [...new Set(there.map((copy) => copy.latest_location))];
  const needs: NeedsPerson[] = [];
  if (copies.some((copy) => copy.recipient.startsWith('mori@'))) needs.push('protected_mailbox');
  return {
    checked_at: seed.at(0), copies: copies.length, messages: new Set(copies.map((copy) => copy.message_id)).size, asked: copies.length, present: there.length,
    appeared_since: since ? copies.filter((copy) => copy.received_at > since).length : 0,
    locations: locations.map((value) => ({ value, count: there.filter((copy) => copy.latest_location === value).length })),
    mailboxes: [...new Set(copies.map((copy) => copy.recipient))].map((recipient) => {
      const own = there.filter((copy) => copy.recipient === recipient);
      return {
        recipient, absent: copies.filter((copy) => copy.recipient === recipient).length - own.length, protected: recipient.startsWith('mori@'), shared: recipient.startsWith('kato@'),
        error: recipient.startsWith('kobayashi@') ? 'LOGIN failed: user is over quota' : null,
        places: own.length ? [{ folder: own[0]!.latest_location === 'junkFolder' ? 'Junk' : 'INBOX', location: own[0]!.latest_location, mails: own.length }] : [],
      };
    }),
    differing: copies.length > 2 ? [{ recipient: copies[1]!.recipient, folder: 'INBOX', difference: 'the body differs' }] : [],
    related: [], sample: explored(copies, all).slice(0, 20), needs_person: needs,
  };
}

const SPECS: Record<MessageRemedy, Exclude<ActionSpec['kind'], `${string}_file`>> = {
  moveToQuarantine: 'quarantine_messages', moveToJunk: 'move_messages_to_junk', moveToDeletedItems: 'move_messages_to_deleted_items',
  moveToInbox: 'move_messages_to_inbox', softDelete: 'soft_delete_messages', hardDelete: 'hard_delete_messages',
};

export function specOf(remedy: MessageRemedy, copies: MessageCopy[]): ActionSpec {
  return { kind: SPECS[remedy], copies: copies.map(({ message_id, recipient }) => ({ message_id, recipient })), senders_copy: false } as ActionSpec;
}

export function bulkOf(id: string, order: NewMailBulk, copies: MessageCopy[], action: string, block_actions: string[]): MailBulk {
  return {
    id, state: 'ordered', filter: order.filter, remedy: order.remedy ?? 'moveToQuarantine', senders_copy: Boolean(order.senders_copy), related: Boolean(order.related), reason: order.reason, incident_id: order.incident_id ?? null,
    propose_only: Boolean(order.propose_only), ordered_by: 'admin', created_at: seed.at(0), copies: copies.length, actions: [action], needs_person: [], cursor: null, block: order.block ?? [], block_actions,
  };
}

export const crawl = (empty: boolean): CrawlStatus => (empty ? { enabled: false, mailboxes: 0, finished: 0, running: 0, failed: 0, mails: 0, skipped: 0, items: [] } : seed.crawl);
