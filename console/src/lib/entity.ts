// Entity keys (`kind:value`) and their permalinks.
import type { EntityKey, EntityKind, MailField } from '../api/types';

export const entityKinds = [
  'device', 'user', 'mailbox', 'message', 'messageCopy', 'file', 'process', 'ip', 'domain', 'url', 'sender',
] as const satisfies readonly EntityKind[];

export interface Entity { kind: EntityKind; value: string }

export function parseEntity(key: EntityKey): Entity {
  const colon = key.indexOf(':');
  const kind = key.slice(0, colon) as EntityKind;
  return { kind: entityKinds.includes(kind) ? kind : 'device', value: key.slice(colon + 1) };
}

/** The one place that builds paths of pages. */
export const to = {
  incident: (number: number | string) => `/incidents/${encodeURIComponent(String(number))}`,
  alert: (id: string) => `/alerts/${encodeURIComponent(id)}`,
  investigation: (id: string) => `/investigations/${encodeURIComponent(id)}`,
  device: (id: string) => `/devices/${encodeURIComponent(id)}`,
  file: (sha256: string) => `/files/${encodeURIComponent(sha256)}`,
  message: (id: string) => `/mail/${encodeURIComponent(id)}`,
  messagesBy: (field: MailField, value: string) => `/mail?${field}=${encodeURIComponent(value)}&range=all`,
  action: (id: string) => `/actions/${encodeURIComponent(id)}`,
  actions: (incident?: string) => (incident ? `/actions?tab=all&incident=${encodeURIComponent(incident)}` : '/actions'),
  search: (text: string) => `/search?q=${encodeURIComponent(text)}`,
};

/** The page of an entity; undefined when it has none of its own. */
export function pageOf(key: EntityKey): string | undefined {
  const { kind, value } = parseEntity(key);
  switch (kind) {
    case 'device':
      return to.device(value);
    case 'file':
      return to.file(value);
    case 'message':
      return to.message(value);
    case 'messageCopy':
      return to.message(value.split('/')[0] ?? value);
    case 'mailbox':
      return to.messagesBy('recipient', value);
    case 'sender':
      return to.messagesBy('sender', value);
    case 'url':
      return to.messagesBy('url', value);
    case 'process':
      return to.device(value.split('/')[0] ?? value);
    default:
      return to.search(value);
  }
}

/** How a key reads when nothing better is known. */
export function entityLabel(key: EntityKey): string {
  const { kind, value } = parseEntity(key);
  if (kind === 'file') return shortHash(value);
  if (kind === 'messageCopy') return value.slice(value.indexOf('/') + 1);
  if (kind === 'process') return `PID ${value.split('/')[1] ?? '?'}`;
  if (kind === 'device' || kind === 'message') return value.slice(0, 8);
  return value;
}

export function shortHash(sha256: string): string {
  return sha256.length > 20 ? `${sha256.slice(0, 10)}…${sha256.slice(-6)}` : sha256;
}

/** Control and direction characters of untrusted text, shown instead of obeyed. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (letter) =>
    `\u2039U+${letter.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}\u203a`,
  );
}
