import { ChevronLeft, ChevronRight } from 'lucide-react';
import { useState } from 'react';
import { Link, useParams } from '../lib/router';
import { useGet } from '../api/queries';
import type { AlertDetail, AlertStory, AlertSummary, Listed, StoryNode } from '../api/types';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { to, visible } from '../lib/entity';
import { AddComment } from '../incidents/activity';
import { EvidenceTable } from '../incidents/evidence';
import { incidentName } from '../incidents/shared';
import { Button } from '../ui/button';
import { AlertStatusChip, DemoChip, DetectionStatusChip, SeverityChip } from '../ui/chips';
import { Card } from '../ui/field';
import { Empty, ErrorState, Loaded, Skeleton, Stale } from '../ui/states';
import { StoryTree } from '../ui/story-tree';
import { Time } from '../ui/time';
import { AlertControls, AlertDetails } from './details';
import { NodeDetails } from './node-details';
import { TuneAlert } from '../tuning/from-alert';
import '../styles/pages.css';

export default function AlertPage() {
  const { id = '' } = useParams();
  const { t } = useT();
  const query = useGet<AlertDetail>(`/alerts/${encodeURIComponent(id)}`);
  if (!query.data || query.data.id !== id) {
    return (
      <Page title={t('columns.alert')} crumbs={[{ label: t('nav.alerts'), to: '/alerts' }]}>
        {query.error ? <ErrorState error={query.error} retry={() => void query.refetch()} /> : <Skeleton rows={8} height={30} />}
      </Page>
    );
  }
  return (
    <>
      <Stale query={query} />
      <Alert key={id} alert={query.data} />
    </>
  );
}

function Alert({ alert }: { alert: AlertDetail }) {
  const { t, text } = useT();
  const [node, setNode] = useState<StoryNode | null>(null);
  const story = useGet<AlertStory>(`/alerts/${alert.id}/story`);
  const title = visible(text(alert.title));
  const crumbs = [{ label: t('nav.incidents'), to: '/incidents' }];
  if (alert.incident_number) crumbs.push({ label: incidentName(alert.incident_number), to: to.incident(alert.incident_number) });
  return (
    <Page title={title} crumbs={[...crumbs, { label: t('columns.alert'), to: '/alerts' }]}
      chips={<><DemoChip id={alert.id} /><SeverityChip severity={alert.severity} /><AlertStatusChip status={alert.status} /><DetectionStatusChip status={alert.detection_status} /></>}
      buttons={<><TuneAlert alert={alert} /><Neighbours alert={alert} /></>}>
      <div className="split">
        <div className="column" style={{ gap: 16 }}>
          <Card flush title={t('alert.story')}>
            <Loaded query={story}>
              {(data) => data.nodes.length === 0 ? <Empty title={t('tree.none')}>{t('tree.noneHint')}</Empty> : (
                <>
                  <StoryTree nodes={data.nodes} label={t('alert.story')} selected={node?.key ?? null} onSelect={(next) => setNode(next)} />
                  {data.truncated ? <div className="grid-foot">{t('tree.truncated')}</div> : null}
                </>
              )}
            </Loaded>
          </Card>
          <Card flush title={t('incident.evidence')}>
            {alert.evidence.length ? <EvidenceTable evidence={alert.evidence} /> : <Empty title={t('evidence.none')} />}
          </Card>
          {alert.comments.length ? (
            <Card title={t('alert.notes')}>
              {alert.comments.map((comment, index) => (
                <div key={index} className="activity">
                  <span className="dot comment" aria-hidden />
                  <div><span className="strong">{visible(comment.author)}</span> <span className="secondary small"><Time at={comment.at} /></span><div className="wrap">{visible(comment.text)}</div></div>
                </div>
              ))}
            </Card>
          ) : null}
          <AddComment route={`/alerts/${alert.id}/comments`} family="/alerts" />
        </div>
        <aside className="side" aria-label={t('story.details')}>
          {node ? (
            <Card title={t('story.details')} head={<Button variant="text" onClick={() => setNode(null)}>{t('alert.backToAlert')}</Button>}>
              <NodeDetails node={node} incident={alert.incident_id} />
            </Card>
          ) : (
            <>
              <Card title={t('alert.details')}><AlertDetails alert={alert} /></Card>
              <Card title={t('alert.manage')}><AlertControls alert={alert} /></Card>
            </>
          )}
        </aside>
      </div>
    </Page>
  );
}

function Neighbours({ alert }: { alert: AlertDetail }) {
  const { t } = useT();
  const alerts = useGet<Listed<AlertSummary>>(`/incidents/${alert.incident_id}/alerts`);
  const items = alerts.data?.items ?? [];
  const at = items.findIndex((one) => one.id === alert.id);
  const [before, after] = [items[at - 1], items[at + 1]];
  if (at < 0 || items.length < 2) return null;
  return (
    <>
      <span className="row secondary num">{t('alert.ofIncident', { at: at + 1, count: items.length })}</span>
      {before ? <Link className="button icon" to={to.alert(before.id)} aria-label={t('alert.previous')} title={t('alert.previous')}><ChevronLeft size={16} aria-hidden /></Link> : null}
      {after ? <Link className="button icon" to={to.alert(after.id)} aria-label={t('alert.next')} title={t('alert.next')}><ChevronRight size={16} aria-hidden /></Link> : null}
    </>
  );
}
