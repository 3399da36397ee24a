// The pivot part of the mock: where values lead, what happened after delivery, headers, demos.
import type { AlertDetail, AlertSummary, Device, DemoStatus, EventRow, Indicator, MessageCopy, MessageHeader, Pivot, PivotDevice, PivotStage, PivotStep, PivotType } from '../src/api/types';
import * as seed from './data';

const PATH = '/home/tanaka/Downloads/invoice.sh';
const { BEGIN } = seed;

export function devices(device: Device): PivotDevice[] {
  return [{
    id: device.id, name: device.name, value: `file:${seed.SHA.script}`, called: PATH, first_seen: seed.at(BEGIN - 62), last_seen: seed.at(15), count: 3, account: 'tanaka',
    stages: { saved_at: seed.at(BEGIN - 62), saved_by: 'thunderbird', executed_at: seed.at(BEGIN - 70), connected_at: null, blocked_at: seed.at(15), deleted_at: null },
  }];
}

interface Data { devices: Device[]; messages: MessageCopy[]; alerts: AlertDetail[]; indicators: Indicator[] }

export function pivot(value: string, asked: string | null, data: Data): Pivot {
  const type = (asked ?? (/^[0-9a-f]{64}$/i.test(value) ? 'sha256' : value.includes('://') ? 'url' : value.includes('@') ? 'mailAddress' : /^\d+\./.test(value) ? 'ip' : value.includes('.') ? 'domain' : 'device')) as PivotType;
  const plain = value.replace(/^(file|ip|domain|user|url):/, '').replaceAll('[.]', '.');
  const known = data.messages.length > 0 && (plain === seed.SHA.script || plain === seed.SENDER);
  const copies = known ? data.messages.slice(0, 12) : [];
  const found = plain === seed.SHA.script && known ? devices(data.devices[0]!) : [];
  const mail = (copy: MessageCopy, stage: PivotStage, at: string, by: string | null): PivotStep => ({
    at, stage, entity: `messageCopy:${copy.message_id}/${copy.recipient}`, value: `message:${copy.message_id}`, place: copy.recipient, detail: stage === 'removed' ? 'Quarantine' : copy.subject, by,
  });
  const own = (stage: PivotStage, at: string, by: string | null): PivotStep => ({ at, stage, entity: `device:${data.devices[0]!.id}`, value: `file:${seed.SHA.script}`, place: data.devices[0]!.name, detail: PATH, by });
  const steps = copies.flatMap((copy) => [
    mail(copy, 'arrived', copy.received_at, copy.sender_from), mail(copy, 'delivered', copy.received_at, null),
    ...(copy.moved_by ? [mail(copy, copy.latest_location === 'quarantine' ? 'removed' as const : 'moved' as const, copy.moved_at!, copy.moved_by)] : []),
  ]);
  for (const { stages } of found) steps.push(own('savedByMailClient', stages.saved_at!, stages.saved_by ?? null), own('executed', stages.executed_at!, 'tanaka'), own('blocked', stages.blocked_at!, 'tanaka'));
  steps.sort((a, b) => a.at.localeCompare(b.at));
  const stages = [...new Set(steps.map((step) => step.stage))];
  const first = copies[0];
  return {
    value: plain, type, could_be: type === 'mailAddress' ? ['account', 'internetMessageId'] : [], entity: type === 'sha256' ? `file:${plain}` : type === 'mailAddress' ? `sender:${plain}` : `${type}:${plain}`,
    known, first_seen: known ? seed.at(BEGIN) : null, last_seen: known ? seed.at(15) : null, verdict: known ? 'malicious' : 'unknown',
    indicator: data.indicators.find((one) => one.spec.value === plain) ?? null,
    reach: stages.map((stage) => {
      const of = steps.filter((step) => step.stage === stage);
      const boxes = new Set(of.filter((step) => step.entity.startsWith('messageCopy:')).map((step) => step.place)).size;
      return { stage, first: of[0]!.at, last: of.at(-1)!.at, devices: boxes > 0 ? 0 : 1, mailboxes: boxes };
    }),
    steps, devices: { items: found, total: found.length, exact: true },
    messages: {
      total: known ? 1 : 0, exact: plain !== seed.SENDER,
      items: first ? [{
        id: first.message_id, internet_message_id: first.internet_message_id, subject: first.subject, sender: first.sender_from, received_at: first.received_at, source: 'gateway', direction: 'inbound', verdict: 'malicious',
        carried_as: type === 'sha256' ? ['invoice.zip', 'invoice.sh'] : [], copy_count: 12,
        copies: copies.map(({ recipient, delivery_action, delivery_location, latest_location, folder, moved_by, moved_at }) => ({ recipient, delivery_action, delivery_location, latest_location, folder, moved_by, moved_at })),
      }] : [],
    },
    people: known ? [{ by: ['user:tanaka', 'mailbox:tanaka@hinomi.example'], person: { id: 'csv/1', source: 'csv', name: '田中 太郎', title: '課長', department: '経理部', mailbox: 'tanaka@hinomi.example', addresses: ['tanaka@hinomi.example'], accounts: ['tanaka'], devices: [], sids: [], disabled: false, changed_at: seed.at(86_400) } }] : [],
    related: known && type === 'sha256' ? [{ relation: 'inside', entity: `file:${seed.SHA.zip}`, name: 'invoice.zip', devices: 0 }] : known ? [{ relation: 'url', entity: 'url:http://supplier-invoices.example/portal?ref=8812', name: 'http://supplier-invoices.example/portal?ref=8812', devices: 0 }] : [],
    alerts: known ? (data.alerts.slice(0, 3) as unknown as AlertSummary[]) : [], incidents: known ? [{ id: seed.INCIDENT, number: 1042, title: seed.text('Mail attachment "invoice.sh" run on PC-TANAKA', 'メールの添付「invoice.sh」が PC-TANAKA で実行'), severity: 'high', status: 'awaitingAction' }] : [],
    truncated: plain === seed.SENDER ? ['messages', 'copies'] : [],
  };
}

export function after(copies: MessageCopy[]): EventRow[] {
  return copies.filter((copy) => copy.moved_by).map((copy) => ({
    Table: 'EmailPostDeliveryEvents', Timestamp: copy.moved_at!, NetworkMessageId: copy.message_id, RecipientEmailAddress: copy.recipient, Action: copy.latest_location === 'quarantine' ? 'Move to quarantine' : 'Move to deleted items',
    ActionType: copy.moved_by === 'owner' ? 'User action' : 'Manual remediation', ActionTrigger: copy.moved_by === 'owner' ? 'UserAction' : 'AdminAction', ActionResult: 'Success', SourceLocation: 'Inbox/folder',
    DeliveryLocation: copy.latest_location === 'quarantine' ? 'Quarantine' : 'Deleted folder', AdditionalFields: copy.moved_by === 'owner' ? {} : { ActionId: copy.moved_by!.slice('action:'.length), Detail: 'expunged from INBOX, UID is gone' },
  }) as unknown as EventRow);
}

export function header(copy: MessageCopy): MessageHeader {
  const hop = (from: string, address: string | null, by: string, withWord: string, seconds: number, delay: number | null, trusted: boolean): MessageHeader['hops'][number] =>
    ({ from, address, by, with: withWord, at: seed.at(seconds), delay_seconds: delay, trusted });
  return {
    recipient: copy.recipient, folder: copy.latest_location === 'quarantine' ? null : copy.folder ?? 'INBOX', read_at: seed.at(0), complete: true,
    hops: [
      hop('[10.0.0.4]', null, 'pc.supplier-invoices.example', 'ESMTPSA', BEGIN + 20, null, false), hop('pc.supplier-invoices.example', '198.51.100.4', 'mail.supplier-invoices.example', 'ESMTPS', BEGIN + 440, -420, false),
      hop('mail.supplier-invoices.example', '203.0.113.77', 'filter.hinomi.example', 'ESMTPS', BEGIN + 2, 438, true), hop('filter.hinomi.example', '192.0.2.10', 'mx.hinomi.example', 'LMTP', BEGIN, 2, true),
    ],
    raw: `Received: from filter.hinomi.example (filter.hinomi.example [192.0.2.10])\r\n\tby mx.hinomi.example with LMTP id 4a1; Sun, 22 Nov 2026 18:02:10 +0900\r\nFrom: =?UTF-8?B?6KuL5rGC5pu45L+C?= <${copy.sender_from}>\r\nX-Note: \u202egnp.exe\r\nSubject: ${copy.subject}\r\nMessage-ID: <${copy.internet_message_id}>\r\n`,
  };
}

export function demo(id: string, name: string, state: DemoStatus['demo']['state']): DemoStatus {
  return {
    analysed: state === 'played', investigating: 0, incidents: state === 'played' ? [{ id: seed.INCIDENT, number: 1042, title: seed.text('Mail attachment run', 'メールの添付を実行'), severity: 'high', status: 'awaitingAction', url: '/incidents/1042' }] : [],
    demo: { id, name, title: seed.text('A mail attachment becomes an attack', 'メールの添付から始まる攻撃'), state, failure: null, devices: 1, messages: 12, events: 214, first_event: seed.at(BEGIN), last_event: seed.at(60), played_at: seed.at(300), played_by: 'admin', through: 900, version: 2 },
  };
}
