// A file's way through mailboxes and devices as one line of time.
import type { EventRow, FilePage, MessageCopy, Timestamp } from '../api/types';

export type Stop =
  | { kind: 'arrived'; at: Timestamp; copy: MessageCopy; count: number }
  | { kind: 'removed'; at: Timestamp; copy: MessageCopy; count: number; by: string }
  | { kind: 'seen'; at: Timestamp; device: string; path: string }
  | { kind: 'saved' | 'written' | 'executed' | 'blocked' | 'other'; at: Timestamp; device: string; path: string; program: string; user: string; command: string };

/** Programs that save attachments, by the name of their executable. */
const MAIL_CLIENTS = /^(thunderbird(-bin)?|betterbird|evolution|geary|kmail|claws-mail|sylpheed|mutt|neomutt|alpine|outlook\.exe|olk\.exe|hxtsr\.exe|thunderbird\.exe)$/i;
/** Programs that run a file given to them. */
const INTERPRETERS = /(^|[/\\])(sh|bash|dash|zsh|ksh|python[\d.]*|perl|ruby|node|php|java|pwsh(\.exe)?|powershell\.exe|[cw]script\.exe|mshta\.exe)$/i;
/** Repeated runs on one device that are told. */
const RUNS_MAX = 5;

const str = (value: unknown) => (typeof value === 'string' ? value : '');

/** Whether an event is about this file: by hash, or by a path it had on that device. */
export function concerns(event: EventRow, sha256: string, path: string): boolean {
  if (str(event.SHA256).toLowerCase() === sha256) return true;
  if (!/[/\\]/.test(path)) return false;
  if (event.Table === 'DeviceProcessEvents') return runs(str(event.ProcessCommandLine), path);
  return !str(event.SHA256) && str(event.FolderPath) === path;
}

/** Whether a command line hands the file to an interpreter, options aside (`/bin/sh -x PATH`). */
function runs(command: string, path: string): boolean {
  const [program = '', ...rest] = command.split(' ');
  const at = rest.findIndex((word) => word !== '' && !word.startsWith('-'));
  return INTERPRETERS.test(program) && at >= 0 && `${rest.slice(at).join(' ')} `.startsWith(`${path} `);
}

function stopOf(event: EventRow, device: string, path: string): Stop {
  const action = str(event.ActionType);
  const program = str(event.InitiatingProcessFileName);
  const base = { at: event.Timestamp, device, path: str(event.FolderPath) || path, program, user: str(event.AccountName) || str(event.InitiatingProcessAccountName), command: str(event.ProcessCommandLine) };
  if (action === 'ExecBlocked') return { kind: 'blocked', ...base };
  if (event.Table === 'DeviceProcessEvents') return { kind: 'executed', ...base };
  if (event.Table === 'DeviceFileEvents' && /^File(Created|Renamed|Modified)$/.test(action)) return { kind: MAIL_CLIENTS.test(program) ? 'saved' : 'written', ...base };
  return { kind: 'other', ...base };
}

/** `events` holds what is known per device; a device without events is told by its first sighting. */
export function joinedOf(file: FilePage, events: Map<string, EventRow[]>): Stop[] {
  const stops: Stop[] = [];
  const messages = new Map<string, MessageCopy[]>();
  for (const copy of file.messages) messages.set(copy.message_id, [...(messages.get(copy.message_id) ?? []), copy]);
  for (const copies of messages.values()) {
    const first = copies.toSorted((a, b) => a.received_at.localeCompare(b.received_at))[0]!;
    stops.push({ kind: 'arrived', at: first.received_at, copy: first, count: copies.length });
    const removed = new Map<string, MessageCopy[]>();
    for (const copy of copies) {
      if (copy.moved_by?.startsWith('action:') && copy.moved_at && ['quarantine', 'dropped'].includes(copy.latest_location)) removed.set(copy.moved_by, [...(removed.get(copy.moved_by) ?? []), copy]);
    }
    for (const [by, gone] of removed) {
      const at = gone.map((copy) => copy.moved_at!).toSorted()[0]!;
      stops.push({ kind: 'removed', at, copy: gone[0]!, count: gone.length, by: by.slice('action:'.length) });
    }
  }
  for (const sighting of file.devices) {
    const device = sighting.entity.slice(sighting.entity.indexOf(':') + 1);
    const about = (events.get(device) ?? []).filter((event) => concerns(event, file.sha256, sighting.name)).toSorted((a, b) => a.Timestamp.localeCompare(b.Timestamp));
    const told = about.map((event) => stopOf(event, device, sighting.name)).filter((stop) => stop.kind !== 'other');
    if (told.length === 0) stops.push({ kind: 'seen', at: sighting.first_seen, device, path: sighting.name });
    const counts = new Map<string, number>();
    for (const stop of told) {
      const count = (counts.get(stop.kind) ?? 0) + 1;
      counts.set(stop.kind, count);
      if (count <= RUNS_MAX) stops.push(stop);
    }
  }
  return stops.toSorted((a, b) => a.at.localeCompare(b.at));
}
