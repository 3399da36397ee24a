import {
  Ban, CheckCircle2, CircleAlert, CircleDashed, CircleHelp, CircleX, Clock, Loader, ShieldCheck, ShieldX, Undo2,
} from 'lucide-react';
import type { ReactNode } from 'react';
import type {
  ActionState, AlertStatus, DeliveryLocation, DetectionStatus, IncidentStatus, InvestigationState, IsolationState,
  ReceiptState, RemediationStatus, SensorHealth, Severity, Verdict,
} from '../api/types';
import { useT } from '../i18n';
import { isDemo } from '../lib/demo';
import { SeverityShape } from './icons';

type Tone = 'high' | 'medium' | 'low' | 'informational' | 'ok' | 'accent' | 'outline' | '';

export function Chip({ tone = '', children, title }: { tone?: Tone; children: ReactNode; title?: string }) {
  return (
    <span className={`chip ${tone}`} title={title}>
      {children}
    </span>
  );
}

/** Marks what belongs to a demo; its id says so. Nothing for what is real. */
export function DemoChip({ id }: { id: string }) {
  const { t } = useT();
  return isDemo(id) ? <Chip tone="accent" title={t('demo.hint')}>{t('demo.mark')}</Chip> : null;
}

export function SeverityChip({ severity }: { severity: Severity }) {
  const { t } = useT();
  return (
    <Chip tone={severity} title={t(`severityHelp.${severity}`)}>
      <SeverityShape severity={severity} />
      {t(`severity.${severity}`)}
    </Chip>
  );
}

const INCIDENT_TONES: Record<IncidentStatus, Tone> = {
  active: 'high', inProgress: 'accent', awaitingAction: 'medium', resolved: 'ok', redirected: '',
};

export function IncidentStatusChip({ status }: { status: IncidentStatus }) {
  const { t } = useT();
  return <Chip tone={INCIDENT_TONES[status]}>{t(`incidentStatus.${status}`)}</Chip>;
}

const ALERT_TONES: Record<AlertStatus, Tone> = { new: 'high', inProgress: 'accent', resolved: 'ok' };

export function AlertStatusChip({ status }: { status: AlertStatus }) {
  const { t } = useT();
  return <Chip tone={ALERT_TONES[status]}>{t(`alertStatus.${status}`)}</Chip>;
}

const DETECTION: Record<DetectionStatus, [Tone, ReactNode]> = {
  prevented: ['ok', <ShieldCheck key="i" size={13} aria-hidden />],
  blocked: ['ok', <Ban key="i" size={13} aria-hidden />],
  detected: ['medium', <CircleAlert key="i" size={13} aria-hidden />],
  failed: ['high', <ShieldX key="i" size={13} aria-hidden />],
};

export function DetectionStatusChip({ status }: { status: DetectionStatus }) {
  const { t } = useT();
  const [tone, icon] = DETECTION[status];
  return (
    <Chip tone={tone} title={t(`detectionStatusHint.${status}`)}>
      {icon}
      {t(`detectionStatus.${status}`)}
    </Chip>
  );
}

const VERDICTS: Record<Verdict, [Tone, ReactNode]> = {
  malicious: ['high', <SeverityShape key="i" severity="high" size={12} />],
  suspicious: ['medium', <SeverityShape key="i" severity="medium" size={12} />],
  unknown: ['', <CircleHelp key="i" size={13} aria-hidden />],
  noThreatsFound: ['ok', <CheckCircle2 key="i" size={13} aria-hidden />],
};

export function VerdictChip({ verdict }: { verdict: Verdict }) {
  const { t } = useT();
  const [tone, icon] = VERDICTS[verdict];
  return (
    <Chip tone={tone}>
      {icon}
      {t(`verdict.${verdict}`)}
    </Chip>
  );
}

const REMEDIATION: Record<RemediationStatus, Tone> = {
  none: '', active: 'high', pendingApproval: 'medium', declined: '', running: 'accent', remediated: 'ok',
  partiallyRemediated: 'medium', unremediated: 'high', prevented: 'ok', blocked: 'ok', notFound: '',
};

export function RemediationChip({ status }: { status: RemediationStatus }) {
  const { t } = useT();
  return <Chip tone={REMEDIATION[status]}>{t(`remediation.${status}`)}</Chip>;
}

const spinner = <Loader key="i" size={13} className="spin" aria-hidden />;

const INVESTIGATION: Record<InvestigationState, [Tone, ReactNode]> = {
  queued: ['', <Clock key="i" size={13} aria-hidden />],
  running: ['accent', spinner],
  pendingApproval: ['medium', <Clock key="i" size={13} aria-hidden />],
  pendingResource: ['medium', <Clock key="i" size={13} aria-hidden />],
  benign: ['ok', <CheckCircle2 key="i" size={13} aria-hidden />],
  successfullyRemediated: ['ok', <CheckCircle2 key="i" size={13} aria-hidden />],
  partiallyRemediated: ['medium', <CircleAlert key="i" size={13} aria-hidden />],
  partiallyInvestigated: ['medium', <CircleAlert key="i" size={13} aria-hidden />],
  failed: ['high', <CircleX key="i" size={13} aria-hidden />],
  terminatedByUser: ['', <CircleX key="i" size={13} aria-hidden />],
  terminatedBySystem: ['', <CircleX key="i" size={13} aria-hidden />],
};

export function InvestigationChip({ state }: { state: InvestigationState }) {
  const { t } = useT();
  const [tone, icon] = INVESTIGATION[state];
  return (
    <Chip tone={tone}>
      {icon}
      {t(`investigationState.${state}`)}
    </Chip>
  );
}

const ACTIONS: Record<ActionState, [Tone, ReactNode]> = {
  pendingApproval: ['medium', <Clock key="i" size={13} aria-hidden />],
  declined: ['', <CircleX key="i" size={13} aria-hidden />],
  queued: ['', <Clock key="i" size={13} aria-hidden />],
  running: ['accent', spinner],
  paused: ['', <CircleDashed key="i" size={13} aria-hidden />],
  cancelling: ['', spinner],
  succeeded: ['ok', <CheckCircle2 key="i" size={13} aria-hidden />],
  partiallySucceeded: ['medium', <CircleAlert key="i" size={13} aria-hidden />],
  failed: ['high', <CircleX key="i" size={13} aria-hidden />],
  expired: ['', <CircleX key="i" size={13} aria-hidden />],
  cancelled: ['', <CircleX key="i" size={13} aria-hidden />],
  undone: ['informational', <Undo2 key="i" size={13} aria-hidden />],
};

export function ActionChip({ state }: { state: ActionState }) {
  const { t } = useT();
  const [tone, icon] = ACTIONS[state];
  return (
    <Chip tone={tone}>
      {icon}
      {t(`actionState.${state}`)}
    </Chip>
  );
}

const RECEIPTS: Record<ReceiptState, [Tone, ReactNode]> = {
  pending: ['', <CircleDashed key="i" size={13} aria-hidden />],
  running: ['accent', spinner],
  done: ['ok', <CheckCircle2 key="i" size={13} aria-hidden />],
  alreadyDone: ['ok', <CheckCircle2 key="i" size={13} aria-hidden />],
  notFound: ['', <CircleHelp key="i" size={13} aria-hidden />],
  failed: ['high', <CircleX key="i" size={13} aria-hidden />],
  cancelled: ['', <CircleX key="i" size={13} aria-hidden />],
  undone: ['informational', <Undo2 key="i" size={13} aria-hidden />],
};

export function ReceiptChip({ state }: { state: ReceiptState }) {
  const { t } = useT();
  const [tone, icon] = RECEIPTS[state];
  return (
    <Chip tone={tone}>
      {icon}
      {t(`receiptState.${state}`)}
    </Chip>
  );
}

const HEALTH: Record<SensorHealth, Tone> = { active: 'ok', inactive: 'medium', impaired: 'medium', revoked: '' };

export function HealthChip({ health }: { health: SensorHealth }) {
  const { t } = useT();
  return <Chip tone={HEALTH[health]}>{t(`health.${health}`)}</Chip>;
}

const ISOLATION: Record<IsolationState, Tone> = { notIsolated: 'outline', isolating: 'medium', isolated: 'high', releasing: 'medium' };

export function IsolationChip({ state }: { state: IsolationState }) {
  const { t } = useT();
  return <Chip tone={ISOLATION[state]}>{t(`isolation.${state}`)}</Chip>;
}

const LOCATION: Record<DeliveryLocation, Tone> = {
  inbox: 'informational', junkFolder: 'low', deletedItems: '', quarantine: 'ok', dropped: 'ok', failed: '', unknown: '',
};

export function LocationChip({ location }: { location: DeliveryLocation }) {
  const { t } = useT();
  return <Chip tone={LOCATION[location]}>{t(`location.${location}`)}</Chip>;
}

export function TechniqueChip({ id }: { id: string }) {
  const { t } = useT();
  return (
    <Chip tone="outline" title={t('words.technique')}>
      {id}
    </Chip>
  );
}
