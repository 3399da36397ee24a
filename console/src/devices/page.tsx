import { Activity, RefreshCw, ShieldAlert, ShieldCheck } from 'lucide-react';
import { useState } from 'react';
import { Link, useParams } from '../lib/router';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post } from '../api/client';
import { invalidate, useCan, useGet, usePatch } from '../api/queries';
import { automationLevels, type AlertSummary, type AutomationLevel, type Device, type Listed } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { ownTags } from '../lib/demo';
import { to, visible } from '../lib/entity';
import { bytes, number } from '../lib/time';
import { useAsk } from '../actions/order';
import { Button } from '../ui/button';
import { AlertStatusChip, Chip, DemoChip, HealthChip, IsolationChip, SeverityChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Card, Facts, Select } from '../ui/field';
import { Empty, ErrorState, Loaded, Skeleton, Stale } from '../ui/states';
import { Tabs } from '../ui/tabs';
import { Ago, Time } from '../ui/time';
import { useToast } from '../ui/toast';
import { DeviceTimeline } from './timeline';
import '../styles/pages.css';

export default function DevicePage() {
  const { id = '' } = useParams();
  const { t } = useT();
  const query = useGet<Device>(`/devices/${encodeURIComponent(id)}`);
  if (!query.data || query.data.id !== id) {
    return (
      <Page title={t('nav.device')} crumbs={[{ label: t('nav.devices'), to: '/devices' }]}>
        {query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}
      </Page>
    );
  }
  return (
    <>
      <Stale query={query} />
      <Body device={query.data} />
    </>
  );
}

function Body({ device }: { device: Device }) {
  const { t } = useT();
  const ask = useAsk();
  const may = useCan('act');
  const why = !may && t('states.needRole', { role: t('role.responder') });
  const cut = device.isolation === 'isolated' || device.isolation === 'isolating';
  return (
    <Page title={visible(device.name)} crumbs={[{ label: t('nav.devices'), to: '/devices' }, { label: visible(device.name) }]}
      chips={
        <>
          {device.online ? <Chip tone="ok">{t('device.online')}</Chip> : <Chip>{t('device.offline')}</Chip>}
          <HealthChip health={device.health} />
          {device.isolation === 'notIsolated' ? null : <IsolationChip state={device.isolation} />}
          {device.risk ? <SeverityChip severity={device.risk} /> : null}
          <DemoChip id={device.id} />
          {ownTags(device).map((tag) => <Chip key={tag} tone="outline">{visible(tag)}</Chip>)}
          <span className="secondary">{visible(device.status.os_version)} · {t('device.seen')} <Ago at={device.last_seen} /></span>
        </>
      }
      buttons={
        <>
          <Button why={why} onClick={() => ask({ spec: { kind: 'collect_status', device_id: device.id }, reason: t('device.collectReason') })}>
            <RefreshCw size={15} aria-hidden />
            {t('actionKind.collect_status')}
          </Button>
          {cut ? (
            <Button variant="primary" why={why} onClick={() => ask({ spec: { kind: 'release_device', device_id: device.id } })} data-test="release">
              <ShieldCheck size={15} aria-hidden />
              {t('device.release')}
            </Button>
          ) : (
            <Button variant="danger" why={why} onClick={() => ask({ spec: { kind: 'isolate_device', device_id: device.id, lease_seconds: 86_400 } })} data-test="isolate">
              <ShieldAlert size={15} aria-hidden />
              {t('device.isolate')}
            </Button>
          )}
        </>
      }>
      {cut ? <div className="banner high"><ShieldAlert size={18} aria-hidden /><span className="grow">{t('device.isolatedNow')}</span></div> : null}
      {!device.online && device.health !== 'revoked' ? <div className="banner info"><span className="grow">{t('device.offlineHint')}</span></div> : null}
      <Tabs label={t('nav.device')} tabs={[
        { id: 'timeline', label: t('device.timeline'), body: () => <DeviceTimeline device={device} /> },
        { id: 'overview', label: t('device.overview'), body: () => <Overview device={device} /> },
      ]} />
    </Page>
  );
}

function Overview({ device }: { device: Device }) {
  const { t, text, language } = useT();
  const alerts = useGet<Listed<AlertSummary>>('/alerts', { device: device.id, limit: 50 });
  const status = device.status;
  const drops = Object.entries(status.drops as Record<string, number>).filter(([, count]) => count > 0);
  return (
    <div className="columns">
      <Card flush title={t('nav.alerts')}>
        <Loaded query={alerts}>
          {({ items }) => items.length === 0 ? <Empty title={t('alert.none')} /> : (
            <ul>
              {items.map((alert) => (
                <li key={alert.id}><Link to={to.alert(alert.id)} className="need"><SeverityChip severity={alert.severity} /><span className="grow truncate">{visible(text(alert.title))}</span><AlertStatusChip status={alert.status} /></Link></li>
              ))}
            </ul>
          )}
        </Loaded>
      </Card>
      <Card title={t('device.sensor')} icon={<Activity size={16} aria-hidden />}>
        <div className="column">
          <Facts rows={[
            [t('device.version'), visible(status.sensor_version)],
            [t('device.memory'), bytes(status.memory_bytes, language)],
            [t('columns.events'), number(device.events, language)],
            [t('device.spool'), `${number(status.spooled_events, language)} (${bytes(status.spool_bytes, language)})`],
            [t('device.blockList'), String(status.block_list_version)],
            [t('device.drops'), drops.length ? drops.map(([why, count]) => `${visible(why)}: ${number(count, language)}`).join(', ') : <Chip key="n" tone="ok">{t('device.noDrops')}</Chip>],
            [t('device.enrolled'), <Time key="e" at={device.enrolled_at} />],
            [t('device.certificate'), <code key="c" className="wrap">{device.certificate_sha256}</code>],
          ]} />
          <h3>{t('device.capabilities')}</h3>
          <div className="row wrapping">
            {Object.entries(status.capabilities as Record<string, string>).map(([name, state]) => (
              <Chip key={name} tone={state === 'ok' ? 'ok' : 'medium'} title={visible(state)}>{visible(name)}: {state === 'ok' ? t('device.ok') : visible(state)}</Chip>
            ))}
          </div>
        </div>
      </Card>
      <Card title={t('device.host')}>
        <div className="column">
          <Facts rows={[
            [t('device.hostName'), visible(status.host_name)],
            [t('columns.os'), visible(status.os_version)],
            [t('device.kernel'), visible(status.kernel)],
            [t('device.addresses'), status.ip_addresses.map(visible).join(', ') || '—'],
            [t('device.users'), status.logged_on_users.map(visible).join(', ') || '—'],
          ]} />
          <Level device={device} />
          <Revoke device={device} />
        </div>
      </Card>
    </div>
  );
}

function Level({ device }: { device: Device }) {
  const { t } = useT();
  const may = useCan('administer');
  const toast = useToast();
  const change = usePatch<Device>(`/devices/${device.id}`, '/devices');
  if (!may) return <Facts rows={[[t('settings.automation'), device.automation_level ? t(`automation.${device.automation_level}`) : t('device.serverDefault')]]} />;
  return (
    <Select label={t('settings.automation')} value={device.automation_level ?? ''}
      onChange={(level) => change.mutate({ body: { automation_level: (level || null) as AutomationLevel | null }, base: device }, { onSuccess: () => toast.ok(t('words.saved')), onError: toast.failed })}
      choices={[{ value: '', label: t('device.serverDefault') }, ...automationLevels.map((one) => ({ value: one, label: t(`automation.${one}`) }))]} />
  );
}

function Revoke({ device }: { device: Device }) {
  const { t } = useT();
  const may = useCan('administer');
  const toast = useToast();
  const [open, setOpen] = useState(false);
  const revoke = useMutation<unknown, ApiError>({
    mutationFn: () => post(`/devices/${device.id}/revoke`),
    onSuccess: () => { toast.ok(t('device.revoked')); setOpen(false); },
    onError: toast.failed,
    onSettled: () => invalidate('/devices'),
  });
  if (!may || device.health === 'revoked') return null;
  return (
    <div>
      <Button variant="danger" compact onClick={() => setOpen(true)}>{t('device.revoke')}</Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={t('device.revokeTitle', { name: device.name })} description={t('device.revokeHint')}
        confirm={t('device.revoke')} danger busy={revoke.isPending} onConfirm={() => revoke.mutate()} />
    </div>
  );
}
