import { BellRing, CheckCircle2, CircleX, Laptop, Mail, Microscope, ShieldAlert, Zap } from 'lucide-react';
import { Link } from '../lib/router';
import { useGet } from '../api/queries';
import { severities, type Action, type Device, type IncidentSummary, type InvestigationSummary, type Listed, type MessageCopy } from '../api/types';
import { useNow, useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { ms, number } from '../lib/time';
import { TACTICS, incidentName, useTacticName } from '../incidents/shared';
import { Chip, IncidentStatusChip, SeverityChip } from '../ui/chips';
import { Card } from '../ui/field';
import { Empty, Loaded, Skeleton } from '../ui/states';
import { Ago } from '../ui/time';
import '../styles/pages.css';

const DAYS = 14;
const DAY_MS = 86_400_000;

export default function HomePage() {
  const { t } = useT();
  const incidents = useGet<Listed<IncidentSummary>>('/incidents', { limit: 200 });
  const devices = useGet<Listed<Device>>('/devices', { limit: 200 });
  const messages = useGet<Listed<MessageCopy>>('/messages', { limit: 200 });
  const fresh = incidents.data?.items.length === 0 && devices.data?.items.length === 0 && messages.data?.items.length === 0;
  return (
    <Page title={t('home.title')} subtitle={t('home.subtitle')}>
      {fresh ? <Onboarding /> : null}
      <div className="columns level">
        <Needs incidents={incidents.data?.items} devices={devices.data?.items} />
        <Card flush title={t('home.latest')} head={<Link to="/incidents">{t('home.all')}</Link>}>
          <Loaded query={incidents}>{({ items }) => <Latest items={items} />}</Loaded>
        </Card>
      </div>
      <div className="columns">
        <Card title={t('home.perDay', { count: DAYS })}>{incidents.data ? <PerDay items={incidents.data.items} /> : <Skeleton rows={3} />}</Card>
        <Card title={t('home.tactics')}>{incidents.data ? <Tactics items={incidents.data.items} /> : <Skeleton rows={4} />}</Card>
        <Card title={t('home.coverage')}>{devices.data && messages.data ? <Coverage devices={devices.data} messages={messages.data} /> : <Skeleton rows={4} />}</Card>
      </div>
    </Page>
  );
}

function Needs({ incidents, devices }: { incidents?: IncidentSummary[]; devices?: Device[] }) {
  const { t } = useT();
  const now = useNow();
  const pending = useGet<Listed<Action>>('/actions', { state: 'pendingApproval', limit: 100 });
  const failed = useGet<Listed<InvestigationSummary>>('/investigations', { state: 'failed,partiallyInvestigated', limit: 1 });
  const failedActions = useGet<Listed<Action>>('/actions', { state: 'failed,partiallySucceeded', limit: 1 });
  const open = incidents?.filter((incident) => ['active', 'inProgress', 'awaitingAction'].includes(incident.status));
  const unowned = open?.filter((incident) => !incident.assigned_to && ['high', 'medium'].includes(incident.severity)).length ?? 0;
  const isolated = devices?.filter((device) => device.isolation === 'isolated').length ?? 0;
  const silent = devices?.filter((device) => device.health !== 'revoked' && now - ms(device.last_seen) > 3_600_000).length ?? 0;
  const oldest = pending.data?.items.reduce<string | null>((old, action) => (!old || action.created_at < old ? action.created_at : old), null);
  const rows = [
    { key: 'approvals', count: pending.data?.total ?? pending.data?.items.length ?? 0, icon: <Zap size={18} aria-hidden />, to: '/actions', level: 'attention', extra: oldest ? <>{t('home.oldest')} <Ago at={oldest} /></> : null },
    { key: 'unowned', count: unowned, icon: <ShieldAlert size={18} aria-hidden />, to: '/incidents?owner=none&severity=high%2Cmedium', level: 'urgent', extra: null },
    { key: 'failedInvestigations', count: failed.data?.total ?? 0, icon: <Microscope size={18} aria-hidden />, to: '/investigations?state=failed%2CpartiallyInvestigated', level: 'attention', extra: null },
    { key: 'failedActions', count: failedActions.data?.total ?? 0, icon: <CircleX size={18} aria-hidden />, to: '/actions?tab=history', level: 'attention', extra: null },
    { key: 'isolated', count: isolated, icon: <Laptop size={18} aria-hidden />, to: '/devices', level: 'attention', extra: null },
    { key: 'silent', count: silent, icon: <Laptop size={18} aria-hidden />, to: '/devices?health=inactive', level: 'attention', extra: null },
  ] as const;
  const shown = rows.filter((row) => row.count > 0);
  return (
    <Card flush title={t('home.needsYou')} icon={<BellRing size={16} aria-hidden />}>
      {!incidents || !pending.data ? <Skeleton rows={4} /> : shown.length === 0 ? (
        <Empty title={t('home.nothing')} icon={<CheckCircle2 size={34} strokeWidth={1.4} aria-hidden color="var(--ok)" />}>{t('home.nothingHint')}</Empty>
      ) : (
        <ul>
          {shown.map((row) => (
            <li key={row.key}>
              <Link to={row.to} className={`need ${row.level}`}>
                <span className="figure">{row.count}</span>
                {row.icon}
                <span className="grow">{t(`home.needs.${row.key}`, { count: row.count })}{row.extra ? <span className="small secondary" style={{ display: 'block' }}>{row.extra}</span> : null}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Latest({ items }: { items: IncidentSummary[] }) {
  const { t, text } = useT();
  const open = items.filter((incident) => incident.status !== 'resolved' && incident.status !== 'redirected').slice(0, 6);
  if (open.length === 0) return <Empty title={t('incident.none')}>{t('incident.noneHint')}</Empty>;
  return (
    <ul>
      {open.map((incident) => (
        <li key={incident.id}>
          <Link to={to.incident(incident.number)} className="need">
            <SeverityChip severity={incident.severity} />
            <span className="grow" style={{ minWidth: 0 }}>
              <span className="strong truncate" style={{ display: 'block' }}>{visible(text(incident.title))}</span>
              <span className="small secondary">{incidentName(incident.number)} · <Ago at={incident.last_activity} />{incident.pending_actions ? ` · ${t('incident.waiting', { count: incident.pending_actions })}` : ''}</span>
            </span>
            <span className="hide-phone"><IncidentStatusChip status={incident.status} /></span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function PerDay({ items }: { items: IncidentSummary[] }) {
  const { t, language } = useT();
  const now = useNow();
  const today = new Date(now).setHours(0, 0, 0, 0);
  const days = Array.from({ length: DAYS }, (_, index) => {
    const from = today - (DAYS - 1 - index) * DAY_MS;
    const of = items.filter((incident) => ms(incident.created_at) >= from && ms(incident.created_at) < from + DAY_MS);
    return { from, counts: severities.map((severity) => ({ severity, count: of.filter((incident) => incident.severity === severity).length })), total: of.length };
  });
  const most = Math.max(1, ...days.map((day) => day.total));
  const label = (from: number) => new Intl.DateTimeFormat(language, { month: 'numeric', day: 'numeric' }).format(from);
  const words = days.filter((day) => day.total).map((day) => `${label(day.from)}: ${day.counts.filter((one) => one.count).map((one) => `${t(`severity.${one.severity}`)} ${one.count}`).join(', ')}`).join('; ');
  return (
    <>
      <div className="bars" role="img" aria-label={words || t('home.noIncidents')}>
        {days.map((day) => (
          <div key={day.from} className="bar" title={`${label(day.from)}: ${day.total}`}>
            {day.total === 0 ? <span className="none" /> : [...day.counts].reverse().map((one) => one.count ? <span key={one.severity} className={`bar-${one.severity}`} style={{ height: `${(one.count / most) * 100}%` }} /> : null)}
          </div>
        ))}
      </div>
      <div className="spread small secondary num" style={{ marginTop: 4 }}><span>{label(days[0]!.from)}</span><span>{label(days[DAYS - 1]!.from)}</span></div>
      <div className="row wrapping" style={{ marginTop: 10 }}>
        {[...severities].reverse().map((severity) => (
          <Link key={severity} to={`/incidents?status=all&severity=${severity}`} className="row"><SeverityChip severity={severity} /><span className="num strong">{items.filter((incident) => incident.severity === severity).length}</span></Link>
        ))}
      </div>
    </>
  );
}

function Tactics({ items }: { items: IncidentSummary[] }) {
  const { t } = useT();
  const name = useTacticName();
  const counts = TACTICS.map((tactic) => ({ tactic, count: items.filter((incident) => incident.tactics.some((one) => one.toLowerCase().replaceAll(/[ _]/g, '-') === tactic)).length })).filter((one) => one.count > 0);
  if (counts.length === 0) return <p className="secondary">{t('home.noIncidents')}</p>;
  const most = Math.max(...counts.map((one) => one.count));
  return counts.map((one) => (
    <div key={one.tactic} className="meter">
      <span>{name(one.tactic)}</span>
      <span className="track"><span style={{ width: `${(one.count / most) * 100}%` }} /></span>
      <span className="num">{one.count}</span>
    </div>
  ));
}

function Coverage({ devices, messages }: { devices: Listed<Device>; messages: Listed<MessageCopy> }) {
  const { t, language } = useT();
  const enrolled = devices.items.filter((device) => device.health !== 'revoked');
  const healthy = enrolled.filter((device) => device.health === 'active').length;
  const stopped = messages.items.filter((copy) => ['quarantine', 'dropped'].includes(copy.delivery_location)).length;
  const removed = messages.items.filter((copy) => copy.latest_location === 'quarantine' && copy.delivery_location !== 'quarantine').length;
  const rows: [string, string, React.ReactNode][] = [
    ['devices', '/devices', <><b>{number(healthy, language)}</b> / {number(enrolled.length, language)}</>],
    ['messages', '/mail', <b key="m">{number(messages.total ?? messages.items.length, language)}</b>],
    ['stopped', '/mail?original_location=quarantine%2Cdropped&range=all', <b key="s">{number(stopped, language)}</b>],
    ['removed', '/mail?location=quarantine&not.original_location=quarantine&range=all', <b key="r">{number(removed, language)}</b>],
  ];
  return (
    <ul className="column" style={{ gap: 10 }}>
      {rows.map(([key, page, value]) => (
        <li key={key} className="spread"><Link to={page} className="row">{key === 'devices' ? <Laptop size={15} aria-hidden /> : <Mail size={15} aria-hidden />}{t(`home.covers.${key as 'devices' | 'messages' | 'stopped' | 'removed'}`)}</Link><span className="num">{value}</span></li>
      ))}
    </ul>
  );
}

function Onboarding() {
  const { t } = useT();
  const steps = ['account', 'device', 'mail', 'notify', 'demo'] as const;
  const links = { account: '/settings/profile', device: '/settings/enrolment', mail: '/settings/automation', notify: '/settings/automation', demo: '/settings/demos' };
  return (
    <Card title={t('home.start.title')}>
      <ol>
        {steps.map((step, index) => (
          <li key={step} className="next-step">
            <span className="index" aria-hidden>{index + 1}</span>
            <span><Link to={links[step]} className="strong">{t(`home.start.${step}`)}</Link> <Chip tone="outline">{t('home.start.optional')}</Chip><br /><span className="secondary">{t(`home.start.${step}Hint`)}</span></span>
          </li>
        ))}
      </ol>
    </Card>
  );
}
