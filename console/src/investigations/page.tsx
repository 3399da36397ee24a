import { CheckCircle2, CircleDashed, CircleMinus, CircleX, Hand, Loader, RefreshCw, ShieldAlert } from 'lucide-react';
import { useEffect, useState } from 'react';
import { Link, useParams } from '../lib/router';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post } from '../api/client';
import { invalidate, useCan, useGet } from '../api/queries';
import type { Action, AlertDetail, Investigation, Listed, Step, StepState } from '../api/types';
import { useNow, useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { duration, ms } from '../lib/time';
import { ActionList, ApproveAll } from '../actions/list';
import { useAsk } from '../actions/order';
import { useDeviceNames } from '../devices/names';
import { EvidenceDetails, EvidenceTable } from '../incidents/evidence';
import { Button } from '../ui/button';
import { Chip, DemoChip, InvestigationChip } from '../ui/chips';
import { Card } from '../ui/field';
import { EvidenceGraph } from '../ui/graph-lazy';
import { Empty, ErrorState, Loaded, Skeleton, Stale } from '../ui/states';
import { Tabs } from '../ui/tabs';
import { Clock, Time } from '../ui/time';
import { useToast } from '../ui/toast';
import '../styles/pages.css';

const RUNNING = ['queued', 'running'];
/** The polite announcement of progress comes at most this often. */
const ANNOUNCE_MS = 10_000;

export default function InvestigationPage() {
  const { id = '' } = useParams();
  const { t } = useT();
  const query = useGet<Investigation>(`/investigations/${encodeURIComponent(id)}`);
  if (!query.data || query.data.id !== id) {
    return (
      <Page title={t('nav.investigation')} crumbs={[{ label: t('nav.investigations'), to: '/investigations' }]}>
        {query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}
      </Page>
    );
  }
  return (
    <>
      <Stale query={query} />
      <Body investigation={query.data} />
    </>
  );
}

function Body({ investigation }: { investigation: Investigation }) {
  const { t, text, language } = useT();
  const now = useNow();
  const actions = useGet<Listed<Action>>('/actions', { investigation: investigation.id, limit: 200 });
  const alert = useGet<AlertDetail>(`/alerts/${investigation.alert_id}`);
  const steps = investigation.steps;
  const done = steps.filter((step) => ['done', 'skipped', 'failed'].includes(step.state)).length;
  const failed = steps.filter((step) => step.state === 'failed');
  const waiting = actions.data?.items.filter((action) => action.state === 'pendingApproval') ?? [];
  const working = steps.reduce((sum, step) => sum + (step.started_at && step.ended_at ? ms(step.ended_at) - ms(step.started_at) : 0), 0);
  const total = (investigation.ended_at ? ms(investigation.ended_at) : now) - ms(investigation.started_at);
  const running = RUNNING.includes(investigation.state);
  const title = visible(text(investigation.title));
  return (
    <Page title={`#${investigation.number} ${title}`} heading={title}
      crumbs={[
        { label: t('nav.investigations'), to: '/investigations' },
        ...(alert.data?.incident_number ? [{ label: `INC-${alert.data.incident_number}`, to: to.incident(alert.data.incident_number) }] : []),
        { label: `#${investigation.number}` },
      ]}
      chips={<><DemoChip id={investigation.id} /><InvestigationChip state={investigation.state} /><Chip tone="outline">{t(`automation.${investigation.automation_level}`)}</Chip></>}
      subtitle={investigation.state_reason ? visible(text(investigation.state_reason)) : undefined}
      buttons={<Buttons investigation={investigation} running={running} />}>
      <Announce words={t('investigation.progress', { done, count: steps.length })} active={running} />
      {waiting.length > 0 ? (
        <div className="banner">
          <Hand size={18} aria-hidden />
          <span className="grow strong">{t('incident.actionsWait', { count: waiting.length })}</span>
          <ApproveAll actions={waiting} />
        </div>
      ) : null}
      {failed.map((step) => <FailedStep key={step.name} investigation={investigation} step={step} />)}
      <div className="strip">
        <div><span className="label">{t('investigation.steps')}</span><span className="value num">{done}/{steps.length}</span></div>
        <div><span className="label">{t('columns.started')}</span><span className="value"><Time at={investigation.started_at} /></span></div>
        <div><span className="label">{t('investigation.working')}</span><span className="value num">{duration(working, language)}</span></div>
        <div><span className="label">{t('investigation.total')}</span><span className="value num">{duration(total, language)}</span></div>
        <div><span className="label">{t('columns.device')}</span><span className="value">{investigation.device ? <Link to={to.device(investigation.device.id)}>{visible(investigation.device.name)}</Link> : '—'}</span></div>
        <div><span className="label">{t('investigation.trigger')}</span><span className="value truncate" style={{ maxWidth: 300 }}>{alert.data ? <Link to={to.alert(alert.data.id)}>{visible(text(alert.data.title))}</Link> : '…'}</span></div>
      </div>
      <Tabs label={t('nav.investigation')} tabs={[
        { id: 'graph', label: t('investigation.tabs.graph'), body: () => <GraphTab investigation={investigation} /> },
        { id: 'evidence', label: t('incident.evidence'), count: investigation.evidence.length, body: () => (
          <Card flush title={t('incident.evidence')}>{investigation.evidence.length ? <EvidenceTable evidence={investigation.evidence} /> : <Empty title={t('evidence.none')} />}</Card>
        ) },
        { id: 'log', label: t('investigation.tabs.log'), count: investigation.log.length, body: () => <LogTab investigation={investigation} /> },
        { id: 'actions', label: t('actions.title'), count: actions.data?.items.length, attention: waiting.length > 0, body: () => (
          <Card flush title={t('actions.title')} head={<ApproveAll actions={waiting} />}>
            <Loaded query={actions}>{({ items }) => items.length ? <ActionList actions={items} /> : <Empty title={t('actions.none')}>{t('actions.noneHint')}</Empty>}</Loaded>
          </Card>
        ) },
      ]} />
    </Page>
  );
}

function Announce({ words, active }: { words: string; active: boolean }) {
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (!active) return;
    const timer = setTimeout(() => setSaid(words), said ? ANNOUNCE_MS : 0);
    return () => clearTimeout(timer);
  }, [words, active, said]);
  return <div className="hidden-text" role="status" aria-live="polite">{active ? said : ''}</div>;
}

function useRerun(investigation: Investigation) {
  const { t } = useT();
  const toast = useToast();
  return useMutation<Investigation, ApiError, string | undefined>({
    mutationFn: (from) => post<Investigation>(`/investigations/${investigation.id}/rerun`, { from_step: from }),
    onSuccess: () => toast.ok(t('investigation.restarted')),
    onError: toast.failed,
    onSettled: () => invalidate('/investigations', '/incidents', '/alerts', '/actions'),
  });
}

function Buttons({ investigation, running }: { investigation: Investigation; running: boolean }) {
  const { t } = useT();
  const may = useCan('act');
  const toast = useToast();
  const ask = useAsk();
  const rerun = useRerun(investigation);
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const cancel = useMutation<unknown, ApiError>({
    mutationFn: () => post(`/investigations/${investigation.id}/cancel`),
    onSuccess: () => toast.ok(t('investigation.cancelled')),
    onError: toast.failed,
    onSettled: () => invalidate('/investigations', '/incidents'),
  });
  const device = investigation.device;
  return (
    <>
      {running ? (
        <Button why={why} busy={cancel.isPending} onClick={() => cancel.mutate()}>{t('investigation.cancel')}</Button>
      ) : (
        <Button why={why} busy={rerun.isPending} onClick={() => rerun.mutate(undefined)} data-test="rerun">
          <RefreshCw size={15} aria-hidden />
          {t('investigation.rerun')}
        </Button>
      )}
      {device ? (
        <Button variant="danger" why={why} onClick={() => ask({ spec: { kind: 'isolate_device', device_id: device.id, lease_seconds: 86_400 }, incident: investigation.incident_id })}>
          <ShieldAlert size={15} aria-hidden />
          {t('device.isolate')}
        </Button>
      ) : null}
    </>
  );
}

function FailedStep({ investigation, step }: { investigation: Investigation; step: Step }) {
  const { t, text } = useT();
  const may = useCan('act');
  const ask = useAsk();
  const rerun = useRerun(investigation);
  const device = investigation.device;
  const why = !may && t('states.needRole', { role: t('role.responder') });
  return (
    <div className="banner high" role="alert" data-test="failed-step">
      <CircleX size={18} aria-hidden />
      <span className="grow"><span className="strong">{t('investigation.stepFailed', { step: text(step.title) })}</span> {visible(text(step.result))}</span>
      <Button compact why={why} busy={rerun.isPending} onClick={() => rerun.mutate(step.name)}>{t('investigation.rerunFrom')}</Button>
      {device ? <Button compact variant="danger" why={why} onClick={() => ask({ spec: { kind: 'isolate_device', device_id: device.id, lease_seconds: 86_400 }, incident: investigation.incident_id, reason: text(step.result) })}>{t('device.isolate')}</Button> : null}
    </div>
  );
}

function GraphTab({ investigation }: { investigation: Investigation }) {
  const { t } = useT();
  const names = useDeviceNames();
  const [selected, setSelected] = useState<string | null>(null);
  const [list, setList] = useState(false);
  const chosen = investigation.evidence.find((item) => item.entity === selected);
  return (
    <div className="column" style={{ gap: 16 }}>
        <Card flush title={t('story.graph')} head={
          <div className="switch-group" role="group" aria-label={t('story.view')}>
            <button type="button" aria-pressed={!list} onClick={() => setList(false)}>{t('story.graphView')}</button>
            <button type="button" aria-pressed={list} onClick={() => setList(true)}>{t('story.listView')}</button>
          </div>
        }>
          <EvidenceGraph evidence={investigation.evidence} edges={investigation.edges} selected={selected} onSelect={setSelected} listOnly={list} names={(_, value) => names(value)} />
        </Card>
      <div className="columns">
        <Card flush title={t('investigation.steps')}><Steps steps={investigation.steps} /></Card>
        <Card title={t('story.details')}>
          {selected ? (chosen ? <EvidenceDetails item={chosen} /> : <EvidenceDetails bare={selected} />) : <Empty title={t('story.nothingSelected')} />}
        </Card>
      </div>
    </div>
  );
}

const ICONS: Record<StepState, typeof CheckCircle2> = { pending: CircleDashed, running: Loader, done: CheckCircle2, failed: CircleX, skipped: CircleMinus };

function Steps({ steps }: { steps: Step[] }) {
  const { t, text, language } = useT();
  if (steps.length === 0) return <Empty title={t('investigation.noSteps')} />;
  return (
    <ol>
      {steps.map((step) => {
        const Icon = ICONS[step.state];
        return (
          <li key={step.name} className={`step ${step.state}`}>
            <span className={`icon ${step.state}`}><Icon size={18} className={step.state === 'running' ? 'spin' : ''} role="img" aria-label={t(`stepState.${step.state}`)} /></span>
            <div>
              <div className="strong">{visible(text(step.title))}</div>
              <div className={`small wrap ${step.state === 'failed' ? 'reason' : 'secondary'}`}>{visible(text(step.result)) || t(`stepState.${step.state}`)}</div>
            </div>
            <span className="small secondary num">
              {step.started_at && step.ended_at ? duration(ms(step.ended_at) - ms(step.started_at), language) : ''}
              {step.attempts > 1 ? <div>{t('investigation.attempts', { count: step.attempts })}</div> : null}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function LogTab({ investigation }: { investigation: Investigation }) {
  const { t, text, language } = useT();
  const titles = new Map(investigation.steps.map((step) => [step.name, text(step.title)]));
  return (
    <div className="column" style={{ gap: 16 }}>
      <Card flush title={t('investigation.steps')}><Steps steps={investigation.steps} /></Card>
      <Card flush title={t('investigation.tabs.log')}>
        {investigation.log.length === 0 ? <Empty title={t('investigation.noLog')} /> : (
          <div className="table-scroll" tabIndex={0} role="region" aria-label={t('investigation.tabs.log')}>
            <table className="plain log">
              <thead><tr><th>{t('columns.time')}</th><th>{t('investigation.step')}</th><th>{t('columns.status')}</th><th>{t('columns.result')}</th><th>{t('columns.duration')}</th></tr></thead>
              <tbody>
                {investigation.log.map((line, index) => (
                  <tr key={index}>
                    <td><Clock at={line.at} /></td>
                    <td>{visible(titles.get(line.step) ?? line.step)}</td>
                    <td><Chip tone={line.state === 'failed' ? 'high' : line.state === 'done' ? 'ok' : ''}>{t(`stepState.${line.state}`)}</Chip></td>
                    <td className="wrap" style={{ minWidth: 260 }}>{visible(text(line.text))}</td>
                    <td className="num">{line.duration_us !== null && line.duration_us !== undefined ? duration(line.duration_us / 1000, language) : ''}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Card>
    </div>
  );
}
