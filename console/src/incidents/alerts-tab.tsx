import type { UseQueryResult } from '@tanstack/react-query';
import { useState } from 'react';
import { useCan } from '../api/queries';
import { Link } from '../lib/router';
import type { AlertSummary, IncidentDetail, Listed } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { useDeviceNames } from '../devices/names';
import { AlertStatusChip, DetectionStatusChip, SeverityChip, TechniqueChip } from '../ui/chips';
import { EntityLink } from '../ui/entity';
import { Card } from '../ui/field';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { MoveAlerts } from './regroup';

export function AlertsTab({ incident, alerts }: { incident: IncidentDetail; alerts: UseQueryResult<Listed<AlertSummary>> }) {
  const { t, text } = useT();
  const names = useDeviceNames();
  const titles = new Map(alerts.data?.items.map((alert) => [alert.id, text(alert.title)]));
  const links = new Map(incident.alerts.map((link) => [link.alert_id, link]));
  const may = useCan('triage');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const choose = (id: string) => setChosen((now) => new Set(now.has(id) ? [...now].filter((one) => one !== id) : [...now, id]));
  const selected = (alerts.data?.items ?? []).filter((alert) => chosen.has(alert.id));
  return (
    <Card flush title={t('incident.tabs.alerts')} head={selected.length ? <MoveAlerts alerts={selected} clear={() => setChosen(new Set())} /> : undefined}>
      <Loaded query={alerts}>
        {({ items }) => (
          <div className="table-scroll">
            <table className="plain">
              <thead>
                <tr>
                  {may ? <th><span className="hidden-text">{t('columns.action')}</span></th> : null}
                  <th>{t('columns.severity')}</th><th>{t('columns.alert')}</th><th>{t('columns.status')}</th><th>{t('columns.detection')}</th>
                  <th>{t('columns.asset')}</th><th>{t('columns.technique')}</th><th>{t('columns.linked')}</th><th>{t('columns.time')}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((alert) => {
                  const link = alert.link ?? links.get(alert.id);
                  const other = link?.linked_to ? titles.get(link.linked_to) : null;
                  return (
                    <tr key={alert.id} data-test="alert-row">
                      {may ? <td><input type="checkbox" className="checkbox" checked={chosen.has(alert.id)} onChange={() => choose(alert.id)} aria-label={t('grid.select', { name: visible(text(alert.title)) })} /></td> : null}
                      <td><SeverityChip severity={alert.severity} /></td>
                      <td style={{ minWidth: 200 }}><Link to={to.alert(alert.id)} className="strong">{visible(text(alert.title))}</Link></td>
                      <td><AlertStatusChip status={alert.status} /></td>
                      <td><DetectionStatusChip status={alert.detection_status} /></td>
                      <td style={{ maxWidth: 200 }}>
                        {alert.device ? <EntityLink entity={`device:${alert.device.id}`} name={alert.device.name} /> : null}
                        {alert.mailboxes.length ? <span>{t('entityCount.mailbox', { count: alert.mailboxes.length })}</span> : null}
                      </td>
                      <td>{alert.techniques.slice(0, 2).map((id) => <TechniqueChip key={id} id={id} />)}</td>
                      <td style={{ minWidth: 190, maxWidth: 300 }}>
                        {link ? (
                          <>
                            <div>{t(`reason.${link.reason}`)}</div>
                            {other ? <div className="small secondary">{t('incident.linkedWith', { title: visible(other) })}</div> : null}
                            {link.shared ? <div className="small"><EntityLink entity={link.shared} name={link.shared.startsWith('device:') ? names(link.shared.slice(7)) : undefined} /></div> : null}
                          </>
                        ) : '—'}
                      </td>
                      <td className="secondary"><Ago at={alert.last_activity} /></td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  );
}
