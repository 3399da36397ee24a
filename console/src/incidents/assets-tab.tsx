import { Link } from '../lib/router';
import { useGet } from '../api/queries';
import type { Device, IncidentDetail, Listed, MessageCopy } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { useAsk } from '../actions/order';
import { Button } from '../ui/button';
import { Chip, HealthChip, IsolationChip, LocationChip, SeverityChip } from '../ui/chips';
import { EntityLink } from '../ui/entity';
import { Card } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Ago } from '../ui/time';

/** Devices, people and mailboxes of the incident; mailboxes with the state of each copy. */
export function AssetsTab({ incident }: { incident: IncidentDetail }) {
  const { t } = useT();
  const messages = useGet<Listed<MessageCopy>>(`/incidents/${incident.number}/messages`, { limit: 200 });
  return (
    <div className="column" style={{ gap: 16 }}>
      <Card flush title={`${t('incident.devices')} (${incident.devices.length})`}>
        {incident.devices.length === 0 ? <Empty title={t('incident.noDevices')} /> : (
          <div className="table-scroll">
            <table className="plain">
              <thead><tr><th>{t('columns.device')}</th><th>{t('columns.risk')}</th><th>{t('columns.health')}</th><th>{t('columns.isolation')}</th><th>{t('columns.lastSeen')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
              <tbody>{incident.devices.map((device) => <DeviceRow key={device.id} id={device.id} name={device.name} incident={incident.id} />)}</tbody>
            </table>
          </div>
        )}
      </Card>
      <Card title={`${t('incident.users')} (${incident.users.length})`}>
        {incident.users.length === 0 ? <p className="secondary">{t('incident.noUsers')}</p> : (
          <div className="row wrapping">{incident.users.map((user) => <Chip key={user} tone="outline"><EntityLink entity={`user:${user}`} name={user} /></Chip>)}</div>
        )}
      </Card>
      <Card flush title={`${t('incident.mailboxes')} (${incident.mailboxes.length})`}
        head={messages.data?.items.length ? <Link className="button compact" to={messagesOf(incident.id, messages.data.items)} data-test="find-mail">{t('message.find')}</Link> : null}>
        <Loaded query={messages}>{({ items }) => <Mailboxes incident={incident} copies={items} />}</Loaded>
      </Card>
    </div>
  );
}

function DeviceRow({ id, name, incident }: { id: string; name: string; incident: string }) {
  const { t } = useT();
  const device = useGet<Device>(`/devices/${id}`).data;
  const ask = useAsk();
  const isolated = device?.isolation === 'isolated';
  return (
    <tr>
      <td style={{ whiteSpace: 'nowrap' }}><Link to={to.device(id)} className="strong">{visible(name)}</Link></td>
      <td>{device?.risk ? <SeverityChip severity={device.risk} /> : '—'}</td>
      <td>{device ? <HealthChip health={device.health} /> : '—'}</td>
      <td>{device ? <IsolationChip state={device.isolation} /> : '—'}</td>
      <td className="secondary">{device ? <Ago at={device.last_seen} /> : '—'}</td>
      <td>
        <Button compact onClick={() => ask({ spec: isolated ? { kind: 'release_device', device_id: id } : { kind: 'isolate_device', device_id: id, lease_seconds: 86_400 }, incident })}>
          {isolated ? t('device.release') : t('device.isolate')}
        </Button>
      </td>
    </tr>
  );
}

function Mailboxes({ incident, copies }: { incident: IncidentDetail; copies: MessageCopy[] }) {
  const { t } = useT();
  if (copies.length === 0 && incident.mailboxes.length === 0) return <Empty title={t('incident.noMailboxes')} />;
  const without = incident.mailboxes.filter((mailbox) => !copies.some((copy) => copy.recipient === mailbox));
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead><tr><th>{t('columns.mailbox')}</th><th>{t('columns.subject')}</th><th>{t('columns.sender')}</th><th>{t('columns.delivered')}</th><th>{t('columns.now')}</th><th>{t('columns.time')}</th></tr></thead>
        <tbody>
          {copies.toSorted((a, b) => a.recipient.localeCompare(b.recipient)).map((copy) => (
            <tr key={copy.message_id + copy.recipient} data-test="mailbox-copy" data-location={copy.latest_location}>
              <td><EntityLink entity={`mailbox:${copy.recipient}`} /></td>
              <td style={{ minWidth: 180 }}><Link to={to.message(copy.message_id)}>{visible(copy.subject) || t('mail.noSubject')}</Link></td>
              <td className="secondary">{visible(copy.sender_from)}</td>
              <td><LocationChip location={copy.delivery_location} /></td>
              <td><LocationChip location={copy.latest_location} /></td>
              <td className="secondary"><Ago at={copy.received_at} /></td>
            </tr>
          ))}
          {without.map((mailbox) => (
            <tr key={mailbox}><td><EntityLink entity={`mailbox:${mailbox}`} /></td><td colSpan={5} className="secondary">{t('incident.noCopy')}</td></tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The incident's mails in the explorer; actions from there belong to it. */
function messagesOf(incident: string, copies: MessageCopy[]): string {
  const ids = [...new Set(copies.map((copy) => copy.message_id))].slice(0, 50);
  return `/mail?message=${ids.join(',')}&range=all&incident=${encodeURIComponent(incident)}`;
}
