// Entity keys (`kind:value`) and their permalinks.
import type { EntityKey, EntityKind, MailField } from '../api/types';

export const entityKinds = [
  'device', 'user', 'mailbox', 'message', 'messageCopy', 'file', 'process', 'ip', 'domain', 'url', 'sender', 'certificate', 'subject',
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
  /** Any value, or an entity key. */
  pivot: (value: string) => `/pivot?value=${encodeURIComponent(value)}`,
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
    case 'certificate':
    case 'subject':
      return undefined;
    default:
      return to.pivot(key);
  }
}

/** Where a text typed into the search leads: to the page of a value when it can only be one, else to everything that mentions it. */
export function pageOfText(text: string): string {
  const incident = /^(?:inc-)?(\d{1,9})$/i.exec(text)?.[1];
  if (incident) return to.incident(incident);
  if (/^[0-9a-f]{64}$/i.test(text)) return to.file(text.toLowerCase());
  const isValue = /^[0-9a-f]{32}$|^[0-9a-f]{40}$/i.test(text) // MD5, SHA-1
    || /^(https?|hxxps?|ftp):\/\/\S+$/i.test(text)
    || /^<\S+@\S+>$/.test(text) // Message-ID
    || /^\d{1,3}(\[?\.\]?\d{1,3}){3}$/.test(text)
    || /^[0-9a-f]*:[0-9a-f:]+$/i.test(text) // IPv6
    || /^[^\s@]+(@|\[@\])[^\s@]+$/.test(text)
    || /\[\.\]/.test(text);
  return isValue ? to.pivot(text) : to.search(text);
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

/** Control, direction and unseen characters of untrusted text, shown instead of obeyed. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu, (letter) =>
    `\u2039U+${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}\u203a`,
  );
}

/** A value of a kind as text: links are taken apart. */
export const shown = (kind: string, text: string): string => (kind === 'url' ? defanged(text) : visible(text));

/** A link of a stranger as text that nothing turns into a link again: `hxxps://evil[.]example/a.b`. */
export function defanged(url: string): string {
  const [, scheme = '', host = '', rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#]*)(.*)$/is.exec(url) ?? [];
  return visible(scheme.replace(/^http/i, 'hxxp') + host.replaceAll('.', '[.]') + rest);
}
