import { Bookmark, CheckCircle2, ChevronDown, Link2, Pencil, RotateCcw, UserPlus, Zap } from 'lucide-react';
import { useState } from 'react';
import { Navigate, useParams } from '../lib/router';
import { useCan, useGet, useMe, usePatch } from '../api/queries';
import {
  severities, type Action, type AlertSummary, type Evidence, type IncidentDetail, type InvestigationSummary, type Listed, type UpdateIncident,
} from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { ownTags } from '../lib/demo';
import { to, visible } from '../lib/entity';
import { useKeys } from '../lib/keys';
import { duration } from '../lib/time';
import { ActionList, ApproveAll } from '../actions/list';
import { useAsk } from '../actions/order';
import { Button } from '../ui/button';
import { Chip, DemoChip, IncidentStatusChip, SeverityChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Card, Field } from '../ui/field';
import { Menu, type MenuItem } from '../ui/menu';
import { Empty, ErrorState, Loaded, Skeleton, Stale } from '../ui/states';
import { Tabs } from '../ui/tabs';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { InvestigationTable } from '../investigations/table';
import { ActivityTab } from './activity';
import { AlertsTab } from './alerts-tab';
import { AssetsTab } from './assets-tab';
import { EvidenceTable } from './evidence';
import { MergeDialog, UnmergeDialog } from './regroup';
import { ResolveDialog } from './resolve';
import { incidentName, durationOf, useOwnerChoices, useTacticName } from './shared';
import { StoryTab } from './story-tab';
import '../styles/pages.css';

export default function IncidentPage() {
  const { id = '' } = useParams();
  const query = useGet<IncidentDetail>(`/incidents/${encodeURIComponent(id)}`);
  const { t } = useT();
  // what is kept of the page before is another incident
  if (!query.data || query.isPlaceholderData) {
    return (
      <Page title={/^\d+$/.test(id) ? incidentName(Number(id)) : t('nav.incidents')} crumbs={[{ label: t('nav.incidents'), to: '/incidents' }]}>
        {query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}
      </Page>
    );
  }
  const incident = query.data;
  if (incident.redirected_to) return <Navigate to={to.incident(incident.redirected_to)} replace />;
  // alert mails and other pages may name it by id; people read the number
  if (id !== String(incident.number)) return <Navigate to={to.incident(incident.number) + window.location.search} replace />;
  return (
    <>
      <Stale query={query} />
      <Incident incident={incident} />
    </>
  );
}

function Incident({ incident }: { incident: IncidentDetail }) {
  const { t, text, language } = useT();
  const tacticName = useTacticName();
  const base = `/incidents/${incident.number}` as const;
  const alerts = useGet<Listed<AlertSummary>>(`${base}/alerts`);
  const evidence = useGet<Listed<Evidence>>(`${base}/evidence`);
  const actions = useGet<Listed<Action>>(`${base}/actions`);
  const investigations = useGet<Listed<InvestigationSummary>>(`${base}/investigations`);
  const waiting = actions.data?.items.filter((action) => action.state === 'pendingApproval') ?? [];
  const title = visible(text(incident.title));
  const tactics = incident.tactics;
  const highest = tactics[tactics.length - 1];

  return (
    <Page
      title={`${incidentName(incident.number)} ${title}`}
      heading={title}
      crumbs={[{ label: t('nav.incidents'), to: '/incidents' }, { label: incidentName(incident.number) }]}
      chips={
        <>
          <SeverityChip severity={incident.severity} />
          <IncidentStatusChip status={incident.status} />
          {incident.classification !== 'unknown' ? <Chip tone="outline">{t(`classification.${incident.classification}`)}</Chip> : null}
          <DemoChip id={incident.id} />
          {ownTags(incident).map((tag) => <Chip key={tag} tone="outline"><Bookmark size={12} aria-hidden />{visible(tag)}</Chip>)}
          <span className="secondary">{t('incident.owner')}: {incident.assigned_to ?? t('words.nobody')}</span>
        </>
      }
      buttons={<Buttons incident={incident} waiting={waiting.length} />}
    >
      {waiting.length > 0 ? (
        <div className="banner" data-test="waiting">
          <Zap size={18} aria-hidden />
          <span className="grow strong">{t('incident.actionsWait', { count: waiting.length })}</span>
          <ApproveAll actions={waiting} />
        </div>
      ) : null}
      <div className="strip">
        <Fact label={t('incident.devices')} value={incident.devices.length} />
        <Fact label={t('incident.users')} value={incident.users.length} />
        <Fact label={t('incident.mailboxes')} value={incident.mailboxes.length} />
        <Fact label={t('incident.alerts')} value={`${incident.active_alerts}/${incident.alert_count}`} />
        <Fact label={t('incident.evidence')} value={evidence.data?.total ?? evidence.data?.items.length ?? '–'} />
        <Fact label={t('incident.duration')} value={duration(durationOf(incident), language)} />
        <Fact label={t('incident.furthest')} value={highest ? tacticName(highest) : '–'} />
        <div>
          <span className="label">{t('columns.lastActivity')}</span>
          <span className="value"><Ago at={incident.last_activity} /></span>
        </div>
      </div>
      <Tabs
        label={t('incident.parts')}
        tabs={[
          { id: 'story', label: t('incident.tabs.story'), body: () => <StoryTab incident={incident} alerts={alerts} /> },
          { id: 'alerts', label: t('incident.tabs.alerts'), count: incident.alert_count, body: () => <AlertsTab incident={incident} alerts={alerts} /> },
          { id: 'assets', label: t('incident.tabs.assets'), count: incident.devices.length + incident.users.length + incident.mailboxes.length, body: () => <AssetsTab incident={incident} /> },
          { id: 'investigations', label: t('incident.tabs.investigations'), count: investigations.data?.items.length, body: () => (
            <Card flush title={t('nav.investigations')}>
              <Loaded query={investigations}>{({ items }) => items.length ? <InvestigationTable items={items} /> : <Empty title={t('investigation.none')}>{t('investigation.noneHint')}</Empty>}</Loaded>
            </Card>
          ) },
          { id: 'evidence', label: t('incident.tabs.evidence'), count: waiting.length || undefined, attention: true, body: () => (
            <div className="column">
              <Card flush title={t('actions.title')} head={<ApproveAll actions={actions.data?.items ?? []} />}>
                <Loaded query={actions}>{({ items }) => items.length ? <ActionList actions={items} /> : <Empty title={t('actions.none')}>{t('actions.noneHint')}</Empty>}</Loaded>
              </Card>
              <Card flush title={t('incident.evidence')}>
                <Loaded query={evidence}>{({ items }) => items.length ? <EvidenceTable evidence={items} /> : <Empty title={t('evidence.none')} />}</Loaded>
              </Card>
            </div>
          ) },
          { id: 'activity', label: t('incident.tabs.activity'), body: () => <ActivityTab incident={incident} /> },
        ]}
      />
    </Page>
  );
}

function Fact({ label, value }: { label: string; value: React.ReactNode }) {
  return (
    <div>
      <span className="label">{label}</span>
      <span className="value num">{value}</span>
    </div>
  );
}

interface Draft { words: string; base: IncidentDetail }

function Buttons({ incident, waiting }: { incident: IncidentDetail; waiting: number }) {
  const { t, text } = useT();
  const me = useMe();
  const may = useCan('triage');
  const mayAct = useCan('act');
  const toast = useToast();
  const ask = useAsk();
  const [resolving, setResolving] = useState(false);
  // what a person types is based on what was there when the dialogue opened, whatever comes in meanwhile
  const [editing, setEditing] = useState<Draft | null>(null);
  const [tags, setTags] = useState<Draft | null>(null);
  const [merging, setMerging] = useState(false);
  const [parting, setParting] = useState<number | null>(null);
  const change = usePatch<IncidentDetail>(`/incidents/${incident.number}`, '/incidents', '/alerts');
  const owners = useOwnerChoices(incident.assigned_to ?? null);
  const update = (body: UpdateIncident, done?: () => void, base = incident) =>
    change.mutate({ body, base }, { onSuccess: () => { toast.ok(t('words.saved')); done?.(); }, onError: toast.failed });
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const resolved = incident.status === 'resolved';
  useKeys({
    e: () => may && me && update({ assigned_to: me.user.name }),
    r: () => may && !resolved && setResolving(true),
  });

  const respond: (MenuItem | 'line')[] = incident.devices.flatMap((device) => [
    { label: t('device.isolateName', { name: device.name }), why: !mayAct && t('states.needRole', { role: t('role.responder') }), danger: true,
      onSelect: () => ask({ spec: { kind: 'isolate_device', device_id: device.id, lease_seconds: 86_400 }, incident: incident.id }) },
  ]);
  if (respond.length === 0) respond.push({ label: t('incident.noResponse'), why: t('incident.noDevices') });

  return (
    <>
      {me && incident.assigned_to !== me.user.name ? (
        <Button why={why} busy={change.isPending} onClick={() => update({ assigned_to: me.user.name, status: incident.status === 'active' ? 'inProgress' : undefined })} data-test="assign-me">
          <UserPlus size={15} aria-hidden />
          {t('incident.assignMe')}
        </Button>
      ) : null}
      {resolved ? (
        <Button why={why} busy={change.isPending} onClick={() => update({ status: 'active' })}>
          <RotateCcw size={15} aria-hidden />
          {t('incident.reopen')}
        </Button>
      ) : (
        <Button variant="primary" why={why} onClick={() => setResolving(true)} data-test="resolve">
          <CheckCircle2 size={15} aria-hidden />
          {t('incident.resolveDots')}
        </Button>
      )}
      <Menu trigger={<Button><Zap size={15} aria-hidden />{t('incident.respond')}<ChevronDown size={14} aria-hidden /></Button>} items={respond} />
      <Menu
        trigger={<Button><Pencil size={15} aria-hidden />{t('incident.edit')}<ChevronDown size={14} aria-hidden /></Button>}
        items={[
          { label: t('incident.editTitle'), why, onSelect: () => setEditing({ words: text(incident.title), base: incident }) },
          { label: t('incident.editTags'), why, onSelect: () => setTags({ words: incident.tags.join(', '), base: incident }) },
          { label: t('regroup.menu'), why, onSelect: () => setMerging(true) },
          ...(incident.took_in ?? []).map((number) => ({ label: t('regroup.takeOut', { name: incidentName(number) }), why, onSelect: () => setParting(number) })),
          'line',
          ...[...severities].reverse().map((severity) => ({ label: `${t('columns.severity')}: ${t(`severity.${severity}`)}`, why: incident.severity === severity ? t('words.current') : why, onSelect: () => update({ severity }) })),
          'line' as const,
          ...(['active', 'inProgress', 'awaitingAction'] as const).map((status) => ({ label: `${t('columns.status')}: ${t(`incidentStatus.${status}`)}`, why: incident.status === status ? t('words.current') : why, onSelect: () => update({ status }) })),
          'line' as const,
          ...owners.map((owner) => ({ label: `${t('incident.owner')}: ${owner.label}`, why: (incident.assigned_to ?? '') === owner.value ? t('words.current') : why, onSelect: () => update({ assigned_to: owner.value || null }) })),
        ]}
      />
      <Button icon aria-label={t('incident.copyLink')} title={t('incident.copyLink')}
        onClick={() => void navigator.clipboard.writeText(window.location.origin + to.incident(incident.number)).then(() => toast.ok(t('words.copied')))}>
        <Link2 size={16} aria-hidden />
      </Button>
      <ResolveDialog open={resolving} onClose={() => setResolving(false)} busy={change.isPending} waiting={waiting}
        onResolve={(resolution) => update(resolution, () => setResolving(false))} />
      {merging ? <MergeDialog incident={incident} onClose={() => setMerging(false)} /> : null}
      {parting !== null ? <UnmergeDialog number={parting} onClose={() => setParting(null)} /> : null}
      <Dialog open={editing !== null} onClose={() => setEditing(null)} title={t('incident.editTitle')} confirm={t('words.save')} busy={change.isPending}
        why={!editing?.words.trim() && t('incident.titleMissing')} test="title-save"
        onConfirm={() => editing && update({ title: editing.words.trim() }, () => setEditing(null), editing.base)}>
        <Field label={t('incident.title')} value={editing?.words ?? ''} maxLength={300} onChange={(event) => editing && setEditing({ ...editing, words: event.target.value })} />
      </Dialog>
      <Dialog open={tags !== null} onClose={() => setTags(null)} title={t('incident.editTags')} confirm={t('words.save')} busy={change.isPending}
        onConfirm={() => tags && update({ tags: tags.words.split(/[,、]/).map((tag) => tag.trim()).filter(Boolean) }, () => setTags(null), tags.base)}>
        <Field label={t('incident.tags')} hint={t('incident.tagsHint')} value={tags?.words ?? ''} onChange={(event) => tags && setTags({ ...tags, words: event.target.value })} />
      </Dialog>
    </>
  );
}
