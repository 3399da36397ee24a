import { useQueries, type UseQueryResult } from '@tanstack/react-query';
import { GitBranch, Laptop } from 'lucide-react';
import { useMemo, useState } from 'react';
import { Link } from '../lib/router';
import { get } from '../api/client';
import { useGet } from '../api/queries';
import type { AlertDetail, AlertStory, AlertSummary, Evidence, GraphEdge, IncidentDetail, IncidentTimeline, Investigation, Listed, StoryNode } from '../api/types';
import { useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { AlertDetails } from '../alerts/details';
import { useDeviceNames } from '../devices/names';
import { Card } from '../ui/field';
import { EvidenceGraph } from '../ui/graph-lazy';
import { Empty, ErrorState, Loaded, Skeleton } from '../ui/states';
import { StoryTree } from '../ui/story-tree';
import { EvidenceDetails } from './evidence';
import { NodeDetails } from '../alerts/node-details';
import { TimelineCard } from './timeline';

type Selection = { kind: 'alert'; id: string } | { kind: 'entity'; key: string } | { kind: 'node'; node: StoryNode };

/** Trees of at most this many alerts are asked for; the rest share their processes with them. */
const STORIES_MAX = 12;

export function StoryTab({ incident, alerts }: { incident: IncidentDetail; alerts: UseQueryResult<Listed<AlertSummary>> }) {
  const { t } = useT();
  const [selection, setSelection] = useState<Selection | null>(null);
  const timeline = useGet<IncidentTimeline>(`/incidents/${incident.number}/timeline`);
  const evidence = useGet<Listed<Evidence>>(`/incidents/${incident.number}/evidence`);
  const investigations = useQueries({
    queries: incident.investigations.slice(0, 6).map((id) => ({
      queryKey: [`/investigations/${id}`, {}],
      queryFn: () => get<Investigation>(`/investigations/${id}`),
    })),
  });
  const [list, setList] = useState(false);
  const names = useDeviceNames();
  const graph = useMemo(() => {
    const edges = new Map<string, GraphEdge>();
    const items = new Map<string, Evidence>();
    for (const item of evidence.data?.items ?? []) items.set(item.entity, item);
    for (const { data } of investigations) {
      for (const edge of data?.edges ?? []) edges.set(`${edge.from}>${edge.to}>${edge.label.en}`, edge);
      for (const item of data?.evidence ?? []) if (!items.has(item.entity)) items.set(item.entity, item);
    }
    return { edges: [...edges.values()], evidence: [...items.values()] };
    // the results array is new each time, its data is not: compared by the time of each answer
  }, [evidence.data, investigations.map((query) => query.dataUpdatedAt).join()]);

  const firstAlert = alerts.data?.items[0];
  const shown: Selection | null = selection ?? (firstAlert ? { kind: 'alert', id: firstAlert.id } : null);
  const chosen = shown?.kind === 'entity' ? graph.evidence.find((item) => item.entity === shown.key) : undefined;

  return (
    <div className="split">
      <div className="column" style={{ gap: 16 }}>
        <Loaded query={timeline}>
          {(data) => (
            <TimelineCard timeline={data} selected={shown?.kind === 'alert' ? shown.id : null} onSelect={(id) => setSelection({ kind: 'alert', id })} />
          )}
        </Loaded>
        <Card flush title={t('story.graph')} icon={<GitBranch size={16} aria-hidden />} head={
          <div className="switch-group" role="group" aria-label={t('story.view')}>
            <button type="button" aria-pressed={!list} onClick={() => setList(false)}>{t('story.graphView')}</button>
            <button type="button" aria-pressed={list} onClick={() => setList(true)}>{t('story.listView')}</button>
          </div>
        }>
          {evidence.data ? (
            <EvidenceGraph evidence={graph.evidence} edges={graph.edges} listOnly={list} names={(_, value) => names(value)}
              selected={shown?.kind === 'entity' ? shown.key : null} onSelect={(key) => setSelection({ kind: 'entity', key })} />
          ) : (
            <Loaded query={evidence}>{() => null}</Loaded>
          )}
        </Card>
        <Trees alerts={alerts} selected={shown?.kind === 'node' ? shown.node.key : null} onSelect={(node) => setSelection({ kind: 'node', node })} />
      </div>
      <aside className="side" aria-label={t('story.details')}>
        {shown?.kind === 'alert' ? (
          <AlertPane id={shown.id} />
        ) : shown?.kind === 'node' ? (
          <Card title={t('story.details')}><NodeDetails node={shown.node} /></Card>
        ) : shown?.kind === 'entity' ? (
          <Card title={t('story.details')}>
            {chosen ? <EvidenceDetails item={chosen} /> : <EvidenceDetails bare={shown.key} />}
          </Card>
        ) : (
          <Card title={t('story.details')}><Empty title={t('story.nothingSelected')} /></Card>
        )}
      </aside>
    </div>
  );
}

function AlertPane({ id }: { id: string }) {
  const { t, text } = useT();
  const alert = useGet<AlertDetail>(`/alerts/${id}`);
  return (
    <Card title={t('columns.alert')} head={<Link to={to.alert(id)}>{t('words.open')}</Link>}>
      <Loaded query={alert}>
        {(data) => (
          <div className="column">
            <h3>{visible(text(data.title))}</h3>
            <AlertDetails alert={data} brief />
          </div>
        )}
      </Loaded>
    </Card>
  );
}

function Trees({ alerts, selected, onSelect }: { alerts: UseQueryResult<Listed<AlertSummary>>; selected: string | null; onSelect: (node: StoryNode) => void }) {
  const { t } = useT();
  const withTree = (alerts.data?.items ?? []).filter((alert) => alert.device);
  const shown = withTree.slice(0, STORIES_MAX);
  const stories = useQueries({
    queries: shown.map((alert) => ({
      queryKey: [`/alerts/${alert.id}/story`, {}],
      queryFn: () => get<AlertStory>(`/alerts/${alert.id}/story`),
      staleTime: 30_000,
    })),
  });
  const devices = useMemo(() => {
    const byDevice = new Map<string, { name: string; nodes: StoryNode[]; truncated: boolean }>();
    shown.forEach((alert, index) => {
      const device = alert.device;
      const story = stories[index]?.data;
      if (!device || !story) return;
      const entry = byDevice.get(device.id) ?? { name: device.name, nodes: [], truncated: false };
      entry.nodes.push(...story.nodes);
      entry.truncated ||= story.truncated;
      byDevice.set(device.id, entry);
    });
    return [...byDevice];
  }, [shown.map((alert) => alert.id).join(), stories.map((query) => query.dataUpdatedAt).join()]);
  const error = stories.find((story) => story.error)?.error;

  if (withTree.length === 0) return null;
  if (devices.length === 0) {
    return <Card flush title={t('story.trees')}>{error ? <ErrorState error={error} /> : <Skeleton />}</Card>;
  }
  return devices.map(([id, { name, nodes, truncated }]) => (
    <Card key={id} flush title={t('story.treeOf', { name })} icon={<Laptop size={16} aria-hidden />} head={<Link to={to.device(id)}>{t('nav.device')}</Link>}>
      {nodes.length === 0 ? <Empty title={t('tree.none')}>{t('tree.noneHint')}</Empty> : (
        <>
          <StoryTree nodes={nodes} label={t('story.treeOf', { name })} selected={selected} onSelect={onSelect} />
          {truncated ? <div className="grid-foot">{t('tree.truncated')}</div> : null}
        </>
      )}
    </Card>
  ));
}
