// What the explorer can filter by: every field of the API, how its value is given, where it stands in the menu.
import {
  deliveryActions, deliveryLocations, mailDirections, mailSources, threatTypes, verdicts, type MailField,
} from '../api/types';

/** How a value is given. `text` values may hold commas, `words` are separated by them. */
export type Entry = 'text' | 'words' | 'number' | 'choice';
export const fieldGroups = ['sender', 'recipient', 'content', 'files', 'links', 'judgement', 'delivery', 'size'] as const;
export type FieldGroup = (typeof fieldGroups)[number];

export interface FieldSpec {
  group: FieldGroup;
  entry: Entry;
  choices?: readonly string[];
}

const words = (group: FieldGroup): FieldSpec => ({ group, entry: 'words' });
const text = (group: FieldGroup): FieldSpec => ({ group, entry: 'text' });
const amount = (): FieldSpec => ({ group: 'size', entry: 'number' });
const choice = (group: FieldGroup, choices: readonly string[]): FieldSpec => ({ group, entry: 'choice', choices });

/** Results of RFC 8601 that senders' domains really get. */
export const authResults = ['pass', 'fail', 'softfail', 'neutral', 'none', 'temperror', 'permerror'] as const;
/** Codes of what could not be inspected, as the parser names them. */
export const findings = [
  'encrypted', 'unsupported_format', 'damaged', 'fragment', 'external', 'reader_failed', 'limit_depth', 'limit_count', 'limit_ratio',
  'limit_size', 'limit_memory', 'limit_time', 'limit_text', 'limit_urls',
] as const;
export const bools = ['true', 'false'] as const;

/** Fields that tell the copies of one message apart. */
export const copyFields: ReadonlySet<MailField> = new Set(['recipient', 'recipient_domain', 'delivery_action', 'original_location', 'location', 'moved_by']);

/** Every field of the API, in the order of the menu; tsc refuses one that is missing. */
export const fields: Record<MailField, FieldSpec> = {
  sender: words('sender'),
  sender_domain: words('sender'),
  sender_address: words('sender'),
  sender_name: text('sender'),
  mail_from: words('sender'),
  mail_from_domain: words('sender'),
  return_path: words('sender'),
  sender_ip: words('sender'),
  recipient: words('recipient'),
  recipient_domain: words('recipient'),
  text: text('content'),
  subject: text('content'),
  internet_message_id: text('content'),
  message: words('content'),
  body_sha256: words('content'),
  fingerprint: words('content'),
  campaign: words('content'),
  attachment_name: text('files'),
  attachment_extension: words('files'),
  attachment_type: words('files'),
  attachment_sha256: words('files'),
  url: text('links'),
  url_domain: words('links'),
  url_host: words('links'),
  url_path: text('links'),
  verdict: choice('judgement', verdicts),
  threat: choice('judgement', threatTypes),
  engine: words('judgement'),
  engine_verdict: text('judgement'),
  finding: choice('judgement', findings),
  indicator: words('judgement'),
  spf: choice('judgement', authResults),
  dkim: choice('judgement', authResults),
  dmarc: choice('judgement', authResults),
  location: choice('delivery', deliveryLocations),
  original_location: choice('delivery', deliveryLocations),
  delivery_action: choice('delivery', deliveryActions),
  moved_by: words('delivery'),
  direction: choice('delivery', mailDirections),
  source: choice('delivery', mailSources),
  bulk: choice('delivery', bools),
  recipients_min: amount(),
  recipients_max: amount(),
  attachments_min: amount(),
  attachments_max: amount(),
  urls_min: amount(),
  urls_max: amount(),
  size_min: amount(),
  size_max: amount(),
};

export const mailFields = Object.keys(fields) as MailField[];

export function isMailField(name: string): name is MailField {
  return Object.hasOwn(fields, name);
}
