import { Microscope } from 'lucide-react';
import { Link } from '../lib/router';
import { useCan, useMe, usePatch } from '../api/queries';
import { alertStatuses, classifications, type AlertDetail, type Classification, type Determination, type UpdateAlert } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { DetectionStatusChip, InvestigationChip, SeverityChip, TechniqueChip } from '../ui/chips';
import { Button } from '../ui/button';
import { EntityLink } from '../ui/entity';
import { Facts, Select } from '../ui/field';
import { Time } from '../ui/time';
import { useToast } from '../ui/toast';
import { determinationsOf } from '../incidents/resolve';
import { incidentName, useOwnerChoices, useTacticName } from '../incidents/shared';
import { NextSteps } from './next-steps';
import { TunedLine } from '../tuning/from-alert';

/** Detection status, why it fired, next steps; `brief` leaves out what the incident page shows anyway. */
export function AlertDetails({ alert, brief }: { alert: AlertDetail; brief?: boolean }) {
  const { t, text } = useT();
  const tactic = useTacticName();
  return (
    <div className="column" style={{ gap: 16 }}>
      <div className="row wrapping">
        <SeverityChip severity={alert.severity} />
        <DetectionStatusChip status={alert.detection_status} />
        {alert.techniques.map((id) => <TechniqueChip key={id} id={id} />)}
      </div>
      {alert.detection_status_reason ? <p className={alert.detection_status === 'failed' ? 'banner high' : 'secondary'}>{visible(text(alert.detection_status_reason))}</p> : null}
      <TunedLine alert={alert} />
      <InvestigationLine alert={alert} />
      <p className="wrap">{visible(text(alert.description))}</p>
      <Facts
        rows={[
          alert.device ? [t('columns.device'), <EntityLink key="d" entity={`device:${alert.device.id}`} name={alert.device.name} />] : null,
          alert.user ? [t('columns.user'), visible(alert.user)] : null,
          alert.mailboxes.length ? [t('columns.mailbox'), alert.mailboxes.length > 4 ? t('entityCount.mailbox', { count: alert.mailboxes.length }) : alert.mailboxes.map(visible).join(', ')] : null,
          alert.message_id ? [t('entity.message'), <EntityLink key="m" entity={`message:${alert.message_id}`} name={t('mail.openMessage')} />] : null,
          [t('columns.tactic'), tactic(alert.category)],
          [t('columns.source'), `${t(`serviceSource.${alert.service_source}`)} · ${t(`detectionSource.${alert.detection_source}`)}`],
          [t('columns.firstActivity'), <Time key="f" at={alert.first_activity} />],
          [t('columns.lastActivity'), <Time key="l" at={alert.last_activity} />],
          !brief && alert.incident_number ? [t('columns.incident'), <Link key="i" to={to.incident(alert.incident_number)}>{incidentName(alert.incident_number)}</Link>] : null,
        ]}
      />
      <WhyFired alert={alert} limit={brief ? 1 : 5} />
      <section>
        <h3>{t('alert.nextSteps')}</h3>
        <NextSteps steps={alert.next_steps} incident={alert.incident_id} />
      </section>
    </div>
  );
}

function InvestigationLine({ alert }: { alert: AlertDetail }) {
  const { t } = useT();
  const id = alert.investigation_id;
  if (!id) return null;
  const state = alert.investigation_state ?? 'running';
  return (
    <div className={`banner ${state === 'failed' ? 'high' : state === 'successfullyRemediated' || state === 'benign' ? 'ok' : state === 'pendingApproval' ? '' : 'info'}`} role="status" data-test="investigation-line">
      <Microscope size={17} aria-hidden />
      <span className="grow">
        {state === 'running' || state === 'queued' ? t('alert.investigationRunning') : t('alert.investigated')} <InvestigationChip state={state} />
      </span>
      <Link to={to.investigation(id)}>{t('alert.openInvestigation', { number: alert.investigation_number ?? '' })}</Link>
    </div>
  );
}

function WhyFired({ alert, limit }: { alert: AlertDetail; limit: number }) {
  const { t, text } = useT();
  const shown = alert.why.slice(0, limit);
  const more = alert.why.length - shown.length + alert.why_more;
  return (
    <section className="column" style={{ gap: 8 }}>
      <h3>{t('alert.whyFired')}</h3>
      {shown.map((why, index) => (
        <div key={index} className="matched">
          <div className="small">
            <span className="strong">{visible(text(why.title))}</span> <code className="secondary">{visible(why.rule_id)}</code>
            <div className="secondary">{why.event.table} · <Time at={why.event.timestamp} /></div>
          </div>
          {why.matched.map((field) => (
            <div key={field.field + field.pattern} className="one">
              <div className="small secondary">{field.field} <span className="mono">{visible(field.pattern)}</span></div>
              <mark>{visible(field.value)}</mark>
            </div>
          ))}
        </div>
      ))}
      {more > 0 ? <p className="small secondary">{t('alert.whyMore', { count: more })}</p> : null}
    </section>
  );
}

/** Status, owner and classification of an alert. */
export function AlertControls({ alert }: { alert: AlertDetail }) {
  const { t } = useT();
  const may = useCan('triage');
  const me = useMe();
  const toast = useToast();
  const change = usePatch<AlertDetail>(`/alerts/${alert.id}`, '/alerts', '/incidents');
  const owners = useOwnerChoices(alert.assigned_to ?? null);
  const update = (body: UpdateAlert) =>
    change.mutate({ body, base: alert }, { onSuccess: () => toast.ok(t('words.saved')), onError: toast.failed });
  if (!may) return <p className="secondary">{t('states.needRole', { role: t('role.responder') })}</p>;
  return (
    <div className="column">
      <div className="columns" style={{ gridTemplateColumns: '1fr 1fr', gap: 12 }}>
        <Select label={t('columns.status')} value={alert.status} onChange={(status) => update({ status: status as AlertDetail['status'] })}
          choices={alertStatuses.map((status) => ({ value: status, label: t(`alertStatus.${status}`) }))} />
        <Select label={t('columns.owner')} value={alert.assigned_to ?? ''} onChange={(owner) => update({ assigned_to: owner || null })} choices={owners} />
        <Select label={t('columns.classification')} value={alert.classification}
          onChange={(value) => update({ classification: value as Classification, determination: determinationsOf[value as Classification][0] })}
          choices={classifications.map((one) => ({ value: one, label: t(`classification.${one}`) }))} />
        <Select label={t('columns.determination')} value={alert.determination} onChange={(value) => update({ determination: value as Determination })}
          choices={[...new Set([...determinationsOf[alert.classification], alert.determination])].map((one) => ({ value: one, label: t(`determination.${one}`) }))} />
      </div>
      {me && alert.assigned_to !== me.user.name ? (
        <div><Button compact onClick={() => update({ assigned_to: me.user.name, status: alert.status === 'new' ? 'inProgress' : undefined })}>{t('incident.assignMe')}</Button></div>
      ) : null}
    </div>
  );
}
