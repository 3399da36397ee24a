// The words of the API, named from the generated schema (docs/openapi.json).
// Everything that names a file, a person, a subject or a command is untrusted text.
import type { components, paths } from './schema';

type S = components['schemas'];

/** Routes below /api/v1 with their parameters filled in, so that a wrong path fails to compile. */
type Filled<P extends string> = P extends `${infer Head}{${string}}${infer Tail}` ? `${Head}${string}${Filled<Tail>}` : P;
export type Route = { [P in keyof paths]: P extends `/api/v1${infer Rest}` ? Filled<Rest> : never }[keyof paths];

export type Language = S['Language'];
export type Text = S['Text'];
export type Timestamp = S['Timestamp'];
export type EntityKey = S['EntityKey'];
export type EntityKind = S['EntityKind'];
export type ProcessKey = S['ProcessKey'];
export type Severity = S['Severity'];
export type AlertStatus = S['AlertStatus'];
export type IncidentStatus = S['IncidentStatus'];
export type Classification = S['Classification'];
export type Determination = S['Determination'];
export type DetectionStatus = S['DetectionStatus'];
export type ServiceSource = S['ServiceSource'];
export type DetectionSource = S['DetectionSource'];
export type Verdict = S['Verdict'];
export type RemediationStatus = S['RemediationStatus'];
export type EvidenceRole = S['EvidenceRole'];
export type CorrelationReason = S['CorrelationReason'];
export type InvestigationState = S['InvestigationState'];
export type StepState = S['StepState'];
export type AutomationLevel = S['AutomationLevel'];
export type ActionState = S['ActionState'];
export type ReceiptState = S['ReceiptState'];
export type IsolationState = S['IsolationState'];
export type SensorHealth = S['SensorHealth'];
export type DeliveryAction = S['DeliveryAction'];
export type DeliveryLocation = S['DeliveryLocation'];
export type IndicatorKind = S['IndicatorKind'];
export type IndicatorAction = S['IndicatorAction'];
export type TuningRule = S['TuningRule'];
export type NewTuningRule = S['NewTuningRule'];
export type TuningCondition = S['TuningCondition'];
export type TuningField = S['TuningField'];
export type TuningOperator = S['TuningOperator'];
export type TuningAction = S['TuningAction'];
export type TuningPreview = S['TuningPreview'];
export type RuleQuality = S['RuleQuality'];
export type IndicatorPreview = S['IndicatorPreview'];
export type IndicatorImport = S['IndicatorImport'];
export type NewIndicatorImport = S['NewIndicatorImport'];
export type IndicatorScope = S['IndicatorScope'];
export type IndicatorWhy = S['IndicatorWhy'];
export type IndicatorEffect = S['IndicatorEffect'];
export type IndicatorReach = S['IndicatorReach'];
export type IndicatorLook = S['IndicatorLook'];
export type IndicatorFeed = S['IndicatorFeed'];
export type FeedRun = S['FeedRun'];
export type NewFeedRun = S['NewFeedRun'];
export type Role = S['Role'];
export type Notification = S['Notification'];
export type NotificationState = S['NotificationState'];
export type NotificationChannel = S['NotificationChannel'];
export type NotificationChannels = S['NotificationChannels'];
export type ChannelTest = S['ChannelTest'];
export type DeviceRef = S['DeviceRef'];
export type MessageCopyRef = S['MessageCopyRef'];
export type IndicatorSpec = S['IndicatorSpec'];
export type Indicator = S['Indicator'];
export type ActionSpec = S['ActionSpec'];
export type NewAction = S['NewAction'];
export type Receipt = S['Receipt'];
export type Action = S['Action'];
export type ApprovedActions = S['ApprovedActions'];
export type AutomationPolicy = S['AutomationPolicy'];
export type AutomationScope = S['AutomationScope'];
export type AutomationHours = S['AutomationHours'];
export type AutomationPreview = S['AutomationPreview'];
export type PreviewAutomation = S['PreviewAutomation'];
export type PreviewOutcome = S['PreviewOutcome'];
export type UpdateAutomation = S['UpdateAutomation'];
export type Unanswered = S['Unanswered'];
export type UnansweredThen = S['UnansweredThen'];
export type Weekday = S['Weekday'];
export type Table = S['Table'];
export type EventRef = S['EventRef'];
export type MatchedField = S['MatchedField'];
export type Why = S['Why'];
export type NextStep = S['NextStep'];
export type Evidence = S['Evidence'];
export type Comment = S['Comment'];
export type AlertLink = S['AlertLink'];
export type Alert = S['Alert'];
export type AlertDetail = S['AlertDetail'];
export type AlertSummary = S['AlertSummary'];
export type Activity = S['Activity'];
export type Incident = S['Incident'];
export type IncidentDetail = S['IncidentDetail'];
export type IncidentSummary = S['IncidentSummary'];
export type UpdateIncident = S['UpdateIncident'];
export type UpdateAlert = S['UpdateAlert'];
export type TimelineLane = S['TimelineLane'];
export type TimelineMarker = S['TimelineMarker'];
export type IncidentTimeline = S['IncidentTimeline'];
export type StoryNode = S['StoryNode'];
export type StoryNodeKind = S['StoryNodeKind'];
export type AlertStory = S['AlertStory'];
export type Step = S['Step'];
export type LogLine = S['LogLine'];
export type GraphEdge = S['GraphEdge'];
export type Investigation = S['Investigation'];
export type InvestigationSummary = S['InvestigationSummary'];
export type SensorStatus = S['SensorStatus'];
export type Device = S['Device'];
export type Attachment = S['Attachment'];
export type MessageCopy = S['MessageCopy'];
export type FilterVerdict = S['FilterVerdict'];
export type ThreatType = S['ThreatType'];
export type MailField = S['MailField'];
export type MailCondition = S['MailCondition'];
export type MailFilter = S['MailFilter'];
export type MessageRemedy = S['MessageRemedy'];
export type RecipientState = S['RecipientState'];
export type ExplorerMessage = S['ExplorerMessage'];
export type ExplorerGroup = S['ExplorerGroup'];
export type ExplorerGroups = S['ExplorerGroups'];
export type ExplorerBucket = S['ExplorerBucket'];
export type ExplorerCounts = S['ExplorerCounts'];
export type DryRun = S['DryRun'];
export type DryRunResult = S['DryRunResult'];
export type DryRunMailbox = S['DryRunMailbox'];
export type NeedsPerson = S['NeedsPerson'];
export type NewMailBulk = S['NewMailBulk'];
export type MailBulk = S['MailBulk'];
export type CrawlStatus = S['CrawlStatus'];
export type Sighting = S['Sighting'];
export type FilePage = S['FilePage'];
export type MailboxCopy = S['MailboxCopy'];
export type FileMailboxes = S['FileMailboxes'];
export type Pivot = S['Pivot'];
export type PivotType = S['PivotType'];
export type PivotStage = S['PivotStage'];
export type PivotStep = S['PivotStep'];
export type PivotDevice = S['PivotDevice'];
export type PivotMessage = S['PivotMessage'];
export type PlayDemo = S['PlayDemo'];
export type DemoStatus = S['DemoStatus'];
export type ReadHeader = S['ReadHeader'];
export type MessageHeader = S['MessageHeader'];
export type SearchHit = S['SearchHit'];
export type SearchAnswer = S['SearchAnswer'];
export type User = S['User'];
export type Me = S['Me'];
export type Permission = S['Permission'];
export type Meta = S['Meta'];
export type SessionInfo = S['SessionInfo'];
export type ApiToken = S['ApiToken'];
export type CreatedApiToken = S['CreatedApiToken'];
export type EnrolmentTokenInfo = S['EnrolmentTokenInfo'];
export type CreatedEnrolmentToken = S['CreatedEnrolmentToken'];
export type AuditRecord = S['AuditRecord'];
export type AuditVerification = S['AuditVerification'];
export type Settings = S['Settings'];
export type TotpStart = S['TotpStart'];
export type PasskeyChallenge = S['PasskeyChallenge'];
export type Problem = S['Problem'];
export type StreamEvent = S['StreamEvent'];

export interface Listed<T> { items: T[]; next: string | null; total?: number }
export type ActionKind = ActionSpec['kind'];
/** A row of a hunting table: `Table`, `Timestamp` and the columns that are set. */
export type EventRow = S['EventRow'] & Record<string, unknown>;
export type LiveKind =
  | 'incident.updated' | 'alert.created' | 'alert.updated' | 'action.updated' | 'investigation.progress'
  | 'device.status';

// every word of the enumerations people choose from, in order; tsc refuses one that does not exist
export const severities = [
  'informational', 'low', 'medium', 'high',
] as const satisfies readonly Severity[];
export const alertStatuses = [
  'new', 'inProgress', 'resolved',
] as const satisfies readonly AlertStatus[];
export const incidentStatuses = [
  'active', 'inProgress', 'awaitingAction', 'resolved', 'redirected',
] as const satisfies readonly IncidentStatus[];
export const classifications = [
  'unknown', 'truePositive', 'informationalExpectedActivity', 'falsePositive',
] as const satisfies readonly Classification[];
export const determinations = [
  'unknown', 'multiStagedAttack', 'maliciousUserActivity', 'compromisedAccount', 'malware', 'phishing',
  'unwantedSoftware', 'securityTesting', 'lineOfBusinessApplication', 'confirmedActivity', 'notMalicious',
  'notEnoughDataToValidate', 'other',
] as const satisfies readonly Determination[];
export const verdicts = [
  'unknown', 'noThreatsFound', 'suspicious', 'malicious',
] as const satisfies readonly Verdict[];
export const automationLevels = [
  'full', 'semiCore', 'semiTemp', 'semiAll', 'none',
] as const satisfies readonly AutomationLevel[];
export const weekdays = [
  'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun',
] as const satisfies readonly Weekday[];
export const unansweredThens = [
  'wait', 'run', 'expire', 'escalate',
] as const satisfies readonly UnansweredThen[];
export const previewOutcomes = [
  'ran', 'answered', 'waited', 'ran_unanswered', 'expired', 'escalated',
] as const satisfies readonly PreviewOutcome[];
export const actionKinds = [
  'soft_delete_messages', 'hard_delete_messages', 'quarantine_messages', 'move_messages_to_junk', 'move_messages_to_inbox',
  'move_messages_to_deleted_items', 'restore_messages', 'stop_process_tree', 'quarantine_file', 'restore_file', 'isolate_device',
  'release_device', 'add_indicator', 'remove_indicator', 'collect_status',
] as const satisfies readonly ActionSpec['kind'][];
export const notificationStates = [
  'pending', 'sent', 'held', 'digested', 'failed', 'dropped',
] as const satisfies readonly NotificationState[];
export const roles = [
  'viewer', 'auditor', 'responder', 'administrator',
] as const satisfies readonly Role[];
export const indicatorKinds = [
  'fileSha256', 'fileSha1', 'fileMd5', 'senderAddress', 'senderDomain', 'url', 'domain', 'ip', 'cidr', 'certificateSha256', 'subjectPattern',
] as const satisfies readonly IndicatorKind[];
export const indicatorActions = [
  'allow', 'audit', 'warn', 'block', 'blockAndRemediate',
] as const satisfies readonly IndicatorAction[];
export const tuningFields = [
  'rule', 'fileName', 'filePath', 'fileSha256', 'commandLine', 'parentName', 'parentPath', 'parentCommandLine', 'user', 'device', 'deviceTag',
  'address', 'domain', 'url', 'sender', 'senderDomain', 'recipient', 'subject',
] as const satisfies readonly TuningField[];
export const tuningActions = [
  'hide', 'resolve', 'lowerSeverity',
] as const satisfies readonly TuningAction[];
export const deliveryLocations = [
  'inbox', 'junkFolder', 'deletedItems', 'quarantine', 'dropped', 'failed', 'unknown',
] as const satisfies readonly DeliveryLocation[];
export const deliveryActions = [
  'delivered', 'junked', 'blocked', 'replaced',
] as const satisfies readonly DeliveryAction[];
export const mailDirections = [
  'inbound', 'outbound', 'intraOrg',
] as const satisfies readonly S['MailDirection'][];
export const mailSources = [
  'gateway', 'journal', 'crawl',
] as const satisfies readonly S['MailSource'][];
export const pivotTypes = [
  'sha256', 'sha1', 'md5', 'url', 'domain', 'ip', 'mailAddress', 'internetMessageId', 'message', 'account', 'device',
] as const satisfies readonly PivotType[];
export const threatTypes = [
  'malware', 'phish', 'spam',
] as const satisfies readonly ThreatType[];
export const remedies = [
  'moveToQuarantine', 'moveToJunk', 'moveToDeletedItems', 'moveToInbox', 'softDelete', 'hardDelete',
] as const satisfies readonly MessageRemedy[];
export const actionStates = [
  'pendingApproval', 'declined', 'queued', 'running', 'paused', 'cancelling', 'succeeded', 'partiallySucceeded', 'failed',
  'expired', 'cancelled', 'undone',
] as const satisfies readonly ActionState[];
export const investigationStates = [
  'queued', 'running', 'pendingApproval', 'pendingResource', 'benign', 'successfullyRemediated',
  'partiallyRemediated', 'partiallyInvestigated', 'failed', 'terminatedByUser', 'terminatedBySystem',
] as const satisfies readonly InvestigationState[];
export const correlationReasons = [
  'firstAlert', 'repeatedAlertOccurrence', 'eventCasualSequence', 'eventSequence', 'similarArtifacts',
  'sharedIndicators', 'sameAsset', 'sameThreatSource', 'sameCampaign', 'temporalProximity',
] as const satisfies readonly CorrelationReason[];
export const remediationStatuses = [
  'none', 'active', 'pendingApproval', 'declined', 'running', 'remediated', 'partiallyRemediated',
  'unremediated', 'prevented', 'blocked', 'notFound',
] as const satisfies readonly RemediationStatus[];
export const tables = [
  'DeviceProcessEvents', 'DeviceFileEvents', 'DeviceNetworkEvents', 'DeviceEvents', 'DeviceLogonEvents',
  'DeviceRegistryEvents', 'DeviceImageLoadEvents', 'DeviceInfo', 'EmailEvents', 'EmailAttachmentInfo',
  'EmailUrlInfo', 'EmailPostDeliveryEvents', 'UrlClickEvents', 'AlertInfo', 'AlertEvidence',
] as const satisfies readonly Table[];
export const sensorHealths = [
  'active', 'inactive', 'impaired', 'revoked',
] as const satisfies readonly SensorHealth[];
export const isolationStates = [
  'notIsolated', 'isolating', 'isolated', 'releasing',
] as const satisfies readonly IsolationState[];
