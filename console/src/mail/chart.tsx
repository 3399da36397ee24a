// Counts over time: stacked bars with a legend that filters, and the same as a table.
import { useMemo, useRef } from 'react';
import { useGet } from '../api/queries';
import { deliveryActions, deliveryLocations, mailDirections, mailSources, threatTypes, verdicts, type ExplorerCounts, type MailField } from '../api/types';
import type { Query } from '../api/client';
import { useT } from '../i18n';
import { dateTime, day, number } from '../lib/time';
import { Select } from '../ui/field';
import { useWidth } from '../ui/grid';
import { axisOf, chartOf, height, REST, type Bar } from './counts';
import { useMailWord } from './words';

/** What the chart can be split by. */
export const pivots = ['verdict', 'location', 'original_location', 'delivery_action', 'direction', 'source', 'threat'] as const satisfies readonly MailField[];
export type PivotName = (typeof pivots)[number];
const ORDER: Record<PivotName, readonly string[]> = {
  verdict: [...verdicts].reverse(), location: deliveryLocations, original_location: deliveryLocations, delivery_action: deliveryActions,
  direction: mailDirections, source: mailSources, threat: threatTypes,
};
const HOUR_MS = 3_600_000;
/** A bar is a button, so it is never narrower than this. */
const BAR_PX = 26;
const AXIS_PX = 40;

/** Colour of a value; what means something elsewhere keeps its colour. */
const TONES: Record<string, string> = {
  malicious: 'high', suspicious: 'medium', unknown: 'none', noThreatsFound: 'ok', malware: 'high', phish: 'medium', spam: 'low',
  inbox: 'informational', junkFolder: 'low', deletedItems: 'none', quarantine: 'ok', dropped: 'accent', failed: 'high',
  delivered: 'informational', junked: 'low', blocked: 'ok', replaced: 'accent', inbound: 'informational', outbound: 'accent', intraOrg: 'ok',
  gateway: 'informational', journal: 'accent', crawl: 'ok', [REST]: 'none',
};

export function CountsChart({ query, pivot, onPivot, onSpan, onValue }: {
  query: Query; pivot: PivotName; onPivot: (pivot: PivotName) => void; onSpan: (from: number, to: number) => void; onValue: (value: string) => void;
}) {
  const { t, language } = useT();
  const word = useMailWord();
  const counts = useGet<ExplorerCounts>('/mail/explorer/counts', { ...query, pivot });
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const chart = useMemo(
    () => (counts.data && width > 0 ? chartOf(counts.data, ORDER[pivot], Math.floor((width - AXIS_PX) / BAR_PX)) : null), [counts.data, pivot, width]);
  const name = (value: string) => (value === REST ? t('explorer.rest') : word(pivot, value));
  const at = (bar: Bar) => (chart && chart.hours >= 24 ? day(new Date(bar.from).toISOString(), language) : dateTime(new Date(bar.from).toISOString(), language).slice(0, -3));
  const parts = (bar: Bar) => chart?.series.filter((one) => bar.values.get(one.value)).map((one) => `${name(one.value)} ${number(bar.values.get(one.value) ?? 0, language)}`).join(', ') || String(bar.total);
  const head = (
    <div className="row wrapping chart-head">
      <Select shown={false} label={t('explorer.pivot')} value={pivot} onChange={(next) => onPivot(next as PivotName)} choices={pivots.map((one) => ({ value: one, label: t(`mailField.${one}`) }))} />
      <div className="row wrapping grow legend">
        {chart?.series.map((one) => (
          <button key={one.value} type="button" className="chip legend-value" disabled={one.value === REST} onClick={() => onValue(one.value)} data-test="legend">
            <i className={`swatch tone-${TONES[one.value] ?? 'accent'}`} aria-hidden />
            {name(one.value)} <span className="num">{number(one.count, language)}</span>
          </button>
        ))}
      </div>
      {chart && chart.bars.length > 0 ? (
        <span className="small secondary hide-phone">
          {chart.hours % 24 === 0 ? t('explorer.perDays', { count: chart.hours / 24 }) : t('explorer.perHours', { count: chart.hours })}
        </span>
      ) : null}
    </div>
  );
  if (!chart || chart.bars.length === 0) return <div className="counts" data-test="counts" ref={frame}>{head}</div>;
  const ticks = axisOf(chart.most);
  return (
    <div className="counts" data-test="counts" ref={frame}>
      {head}
      <div className="plot">
        {ticks.map((tick) => <span key={tick} className="grid-line" style={{ bottom: `${(tick / chart.most) * 100}%` }}><span>{number(tick, language)}</span></span>)}
        <div className="stacks" role="group" aria-label={t('explorer.chart', { pivot: t(`mailField.${pivot}`) })}>
          {chart.bars.map((bar) => height(bar) === 0 ? <span key={bar.from} className="stack" /> : (
            <button key={bar.from} type="button" className="stack" onClick={() => onSpan(bar.from, bar.to)} data-test="bar"
              title={`${at(bar)}: ${parts(bar)}`} aria-label={`${at(bar)}: ${parts(bar)}`}>
              <span className="pile" style={{ height: `${(height(bar) / chart.most) * 100}%` }}>
                {[...chart.series].reverse().map((one) => {
                  const count = bar.values.get(one.value);
                  return count ? <i key={one.value} className={`tone-${TONES[one.value] ?? 'accent'}`} style={{ flexGrow: count }} /> : null;
                })}
              </span>
            </button>
          ))}
        </div>
      </div>
      <div className="spread small secondary num">
        <span>{at(chart.bars[0]!)}</span>
        <details className="chart-table">
          <summary>{t('explorer.chartTable')}</summary>
          <div className="table-scroll" tabIndex={0} role="region" aria-label={t('explorer.chartTable')}>
            <table className="plain">
              <thead><tr><th>{t('columns.time')}</th>{chart.series.map((one) => <th key={one.value}>{name(one.value)}</th>)}</tr></thead>
              <tbody>
                {chart.bars.filter((bar) => height(bar) > 0).map((bar) => (
                  <tr key={bar.from}><td>{at(bar)}</td>{chart.series.map((one) => <td key={one.value} className="num">{number(bar.values.get(one.value) ?? 0, language)}</td>)}</tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
        <span>{dateTime(new Date(Math.min(chart.bars.at(-1)!.from + chart.hours * HOUR_MS, Date.now())).toISOString(), language).slice(0, -3)}</span>
      </div>
      {counts.data?.since ? <p className="small secondary">{t('explorer.chartSince', { at: dateTime(counts.data.since, language) })}</p> : null}
    </div>
  );
}
