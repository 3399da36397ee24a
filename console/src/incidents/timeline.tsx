import { useMemo, useRef, useState } from 'react';
import type { IncidentTimeline, Severity, TimelineMarker } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { clock, clockMillis, duration, ms } from '../lib/time';
import { timeScale } from '../lib/timescale';
import { SeverityChip, TechniqueChip } from '../ui/chips';
import { Card } from '../ui/field';
import { useWidth } from '../ui/grid';
import { SeverityShape } from '../ui/icons';
import { Empty } from '../ui/states';
import { Time } from '../ui/time';
import { useTacticName } from './shared';

const ORDER: Severity[] = ['informational', 'low', 'medium', 'high'];
const SIZE: Record<Severity, number> = { high: 18, medium: 16, low: 14, informational: 13 };
/** Markers closer than this are drawn as one with a number. */
const CLUSTER_PX = 20;

interface Cluster { x: number; markers: TimelineMarker[]; severity: Severity }

export function cluster(markers: TimelineMarker[], x: (at: number) => number): Cluster[] {
  const clusters: Cluster[] = [];
  for (const marker of [...markers].sort((a, b) => ms(a.at) - ms(b.at))) {
    const at = x(ms(marker.at));
    const last = clusters[clusters.length - 1];
    if (last && at - last.x < CLUSTER_PX) {
      last.markers.push(marker);
      if (ORDER.indexOf(marker.severity) > ORDER.indexOf(last.severity)) last.severity = marker.severity;
    } else {
      clusters.push({ x: at, markers: [marker], severity: marker.severity });
    }
  }
  return clusters;
}

export function TimelineCard({ timeline, selected, onSelect }: {
  timeline: IncidentTimeline; selected: string | null; onSelect: (alertId: string) => void;
}) {
  const { t } = useT();
  const [table, setTable] = useState(false);
  return (
    <Card flush title={t('story.timeline')} head={
      <div className="switch-group" role="group" aria-label={t('story.view')}>
        <button type="button" aria-pressed={!table} onClick={() => setTable(false)}>{t('story.lanes')}</button>
        <button type="button" aria-pressed={table} onClick={() => setTable(true)}>{t('story.table')}</button>
      </div>
    }>
      {timeline.markers.length === 0 ? (
        <Empty title={t('story.noMarkers')} />
      ) : table ? (
        <MarkerTable timeline={timeline} selected={selected} onSelect={onSelect} />
      ) : (
        <Lanes timeline={timeline} selected={selected} onSelect={onSelect} />
      )}
    </Card>
  );
}

function Lanes({ timeline, selected, onSelect }: { timeline: IncidentTimeline; selected: string | null; onSelect: (alertId: string) => void }) {
  const { t, text, language } = useT();
  const tacticName = useTacticName();
  const lanes = useRef<HTMLDivElement>(null);
  const width = useWidth(lanes);
  const scale = useMemo(() => timeScale(timeline.markers.map((marker) => ms(marker.at)), width || 800), [timeline, width]);
  const used = timeline.lanes.filter((lane) => timeline.markers.some((marker) => marker.tactic === lane.tactic));
  const span = scale.segments.reduce((sum, segment) => sum + (segment.to - segment.from), 0);
  const days = span > 86_400_000;
  return (
    <div className="timeline">
      <div>
        {used.map((lane) => (
          <div key={lane.tactic} className="lane-name">{tacticName(lane.tactic)}</div>
        ))}
        <div className="axis" />
      </div>
      <div className="lanes" ref={lanes}>
        {scale.ticks.map((tick) => <div key={tick.at} className="tick" style={{ left: tick.x }} />)}
        {scale.breaks.map((gap) => (
          <div key={gap.x0} className="break" style={{ left: gap.x0, width: gap.x1 - gap.x0 }}>
            <span>{t('story.gap', { duration: duration(gap.to - gap.from, language) })}</span>
          </div>
        ))}
        {used.map((lane) => (
          <div key={lane.tactic} className="lane" role="group" aria-label={tacticName(lane.tactic)}>
            {cluster(timeline.markers.filter((marker) => marker.tactic === lane.tactic), scale.x).map((one) => {
              const first = one.markers[0]!;
              const words = one.markers.map((marker) => `${clockMillis(marker.at, language)} ${t(`severity.${marker.severity}`)}: ${visible(text(marker.title))}${marker.technique ? ` (${marker.technique})` : ''}`).join('\n');
              return (
                <button key={first.at + first.alert_id} type="button" className={`marker ${one.severity}`} style={{ left: one.x }}
                  title={words} aria-label={one.markers.length > 1 ? `${one.markers.length}: ${words}` : words} aria-pressed={one.markers.some((marker) => marker.alert_id === selected)}
                  onClick={() => onSelect(nextOf(one.markers, selected))}>
                  <SeverityShape severity={one.severity} size={SIZE[one.severity]} />
                  {one.markers.length > 1 ? <span className="count" aria-hidden>{one.markers.length}</span> : null}
                </button>
              );
            })}
          </div>
        ))}
        <div className="axis" aria-hidden>
          {scale.ticks.map((tick) => (
            <span key={tick.at} style={{ left: tick.x }}>{clock(tick.at, language, !days)}</span>
          ))}
        </div>
      </div>
    </div>
  );
}

/** Clicking a cluster again walks through its markers. */
function nextOf(markers: TimelineMarker[], selected: string | null): string {
  const at = markers.findIndex((marker) => marker.alert_id === selected);
  return markers[(at + 1) % markers.length]!.alert_id;
}

function MarkerTable({ timeline, selected, onSelect }: { timeline: IncidentTimeline; selected: string | null; onSelect: (alertId: string) => void }) {
  const { t, text } = useT();
  const tacticName = useTacticName();
  const rows = timeline.markers.toSorted((a, b) => ms(a.at) - ms(b.at));
  return (
    <div className="table-scroll">
      <table className="plain">
        <thead>
          <tr>
            <th>{t('columns.time')}</th><th>{t('columns.severity')}</th><th>{t('columns.tactic')}</th><th>{t('columns.technique')}</th><th>{t('columns.alert')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((marker, index) => (
            <tr key={index} aria-current={marker.alert_id === selected || undefined}>
              <td><Time at={marker.at} /></td>
              <td><SeverityChip severity={marker.severity} /></td>
              <td>{tacticName(marker.tactic)}</td>
              <td>{marker.technique ? <TechniqueChip id={marker.technique} /> : '—'}</td>
              <td><button type="button" className="button text" onClick={() => onSelect(marker.alert_id)}>{visible(text(marker.title))}</button></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
