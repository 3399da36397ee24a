import { ExternalLink, X } from 'lucide-react';
import { Link } from '../lib/router';
import { useCan, useGet, useMe, usePatch } from '../api/queries';
import type { Action, AlertDetail, AlertSummary, IncidentDetail, IncidentStatus, Listed } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { Button } from '../ui/button';
import { IncidentStatusChip, SeverityChip, TechniqueChip } from '../ui/chips';
import { Facts, Select } from '../ui/field';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { ApproveAll } from '../actions/list';
import { NextSteps } from '../alerts/next-steps';
import { incidentName, useOwnerChoices, useTacticName } from './shared';

/** What one needs to decide whether to open an incident. */
export function Preview({ number, onClose }: { number: string; onClose: () => void }) {
  const { t } = useT();
  const incident = useGet<IncidentDetail>(`/incidents/${number}`);
  return (
    <aside className="pane" aria-label={t('incident.preview')}>
      <Loaded query={incident}>{(data) => <Body incident={data} onClose={onClose} />}</Loaded>
    </aside>
  );
}

function Body({ incident, onClose }: { incident: IncidentDetail; onClose: () => void }) {
  const { t, text } = useT();
  const tactic = useTacticName();
  const me = useMe();
  const may = useCan('triage');
  const toast = useToast();
  const change = usePatch<IncidentDetail>(`/incidents/${incident.id}`, '/incidents');
  const alerts = useGet<Listed<AlertSummary>>(`/incidents/${incident.number}/alerts`);
  const actions = useGet<Listed<Action>>(`/incidents/${incident.number}/actions`);
  const worst = alerts.data?.items.toSorted((a, b) => rank(b) - rank(a))[0];
  const first = useGet<AlertDetail>(worst ? `/alerts/${worst.id}` : null);
  const owners = useOwnerChoices(incident.assigned_to ?? null);
  const update = (body: object) => change.mutate({ body, base: incident }, { onError: toast.failed });
  return (
    <>
      <div className="pane-head">
        <h2>
          <Link to={to.incident(incident.number)}>{visible(text(incident.title))}</Link>
        </h2>
        <Button variant="quiet" compact icon onClick={onClose} aria-label={t('words.close')}>
          <X size={16} aria-hidden />
        </Button>
      </div>
      <div className="row wrapping">
        <SeverityChip severity={incident.severity} />
        <IncidentStatusChip status={incident.status} />
        <span className="secondary num">{incidentName(incident.number)}</span>
      </div>
      <div className="row wrapping">
        <Link className="button primary" to={to.incident(incident.number)}>
          <ExternalLink size={15} aria-hidden />
          {t('words.open')}
        </Link>
        {may && me && incident.assigned_to !== me.user.name ? (
          <Button onClick={() => update({ assigned_to: me.user.name })}>{t('incident.assignMe')}</Button>
        ) : null}
        <ApproveAll actions={actions.data?.items ?? []} variant="" />
      </div>
      <Facts
        rows={[
          [t('incident.devices'), incident.devices.map((device) => device.name).join(', ') || '—'],
          [t('incident.users'), incident.users.map(visible).join(', ') || '—'],
          [t('incident.mailboxes'), incident.mailboxes.length ? String(incident.mailboxes.length) : '—'],
          [t('incident.tactics'), incident.tactics.map(tactic).join(', ') || '—'],
          [t('columns.lastActivity'), <Ago key="a" at={incident.last_activity} />],
        ]}
      />
      <div className="row wrapping">{incident.techniques.map((id) => <TechniqueChip key={id} id={id} />)}</div>
      {may ? (
        <div className="columns" style={{ gridTemplateColumns: '1fr 1fr', gap: 12 }}>
          <Select label={t('columns.status')} value={incident.status} onChange={(status) => update({ status: status as IncidentStatus })}
            choices={(['active', 'inProgress', 'awaitingAction', 'resolved'] as const).map((status) => ({ value: status, label: t(`incidentStatus.${status}`) }))} />
          <Select label={t('columns.owner')} value={incident.assigned_to ?? ''} onChange={(owner) => update({ assigned_to: owner || null })} choices={owners} />
        </div>
      ) : null}
      {first.data ? (
        <div>
          <h3>{t('alert.nextSteps')}</h3>
          <NextSteps steps={first.data.next_steps.slice(0, 3)} incident={incident.id} />
        </div>
      ) : null}
    </>
  );
}

const ORDER = ['informational', 'low', 'medium', 'high'];
const rank = (alert: AlertSummary) => ORDER.indexOf(alert.severity);
