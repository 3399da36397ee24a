// An event in one line: what kind, and the columns that say it.
import type { EventRow } from '../api/types';
import { visible } from '../lib/entity';

export type EventKind = 'process' | 'file' | 'network' | 'detection' | 'mail' | 'other';

export function kindOf(event: EventRow): EventKind {
  const action = String(event.ActionType ?? '');
  if (action === 'HinomiDetection' || action === 'ExecBlocked') return 'detection';
  switch (event.Table) {
    case 'DeviceProcessEvents':
      return 'process';
    case 'DeviceFileEvents':
      return 'file';
    case 'DeviceNetworkEvents':
      return 'network';
    default:
      return event.Table.startsWith('Email') ? 'mail' : 'other';
  }
}

const str = (value: unknown) => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');

/** What the event is about. */
export function subjectOf(event: EventRow): string {
  switch (kindOf(event)) {
    case 'process':
      return visible(str(event.ProcessCommandLine) || str(event.FolderPath) || str(event.FileName));
    case 'network': {
      const port = str(event.RemotePort);
      return visible(str(event.RemoteUrl) || `${str(event.RemoteIP)}${port ? `:${port}` : ''}`);
    }
    case 'file': {
      const before = str(event.PreviousFolderPath);
      return visible(before ? `${before} → ${str(event.FolderPath)}` : str(event.FolderPath) || str(event.FileName));
    }
    default:
      return visible(str(event.FolderPath) || str(event.FileName) || str(event.Subject) || str(event.ProcessCommandLine));
  }
}

/** Who did it. */
export function actorOf(event: EventRow): string {
  return visible(str(event.InitiatingProcessFileName));
}

export function userOf(event: EventRow): string {
  return visible(str(event.AccountName) || str(event.InitiatingProcessAccountName));
}

export function eventKey(event: EventRow): string {
  return `${event.Table}/${str(event.ReportId)}/${event.Timestamp}`;
}
