import { Crosshair, OctagonX } from 'lucide-react';
import { Link } from '../lib/router';
import type { StoryNode } from '../api/types';
import { useT } from '../i18n';
import { pageOf, shortHash, to, visible } from '../lib/entity';
import { duration, ms } from '../lib/time';
import { useAsk } from '../actions/order';
import { factName } from '../incidents/evidence';
import { Decide } from '../indicators/decide';
import { Button, CopyButton } from '../ui/button';
import { Chip, SeverityChip, TechniqueChip } from '../ui/chips';
import { Facts } from '../ui/field';
import { Time } from '../ui/time';

/** The process a node stands for. */
function processOf(node: StoryNode): string | null {
  if (node.kind !== 'process') return null;
  return node.entity?.startsWith('process:') ? node.entity.slice('process:'.length) : null;
}

/** Everything known of one row of the story, with what can be done about it. */
export function NodeDetails({ node, incident }: { node: StoryNode; incident?: string | null }) {
  const { t, text, language } = useT();
  const ask = useAsk();
  const process = processOf(node);
  return (
    <div className="column">
      <h3 className="wrap">{visible(node.name)}</h3>
      <div className="row wrapping">
        <Chip tone="outline">{t(`storyKind.${node.kind}`)}</Chip>
        {node.severity ? <SeverityChip severity={node.severity} /> : null}
        {node.technique ? <TechniqueChip id={node.technique} /> : null}
      </div>
      {node.detection ? <p>{visible(text(node.detection))}</p> : null}
      {node.command_line ? (
        <div className="row" style={{ alignItems: 'flex-start' }}>
          <pre className="copy grow" style={{ margin: 0 }}>{visible(node.command_line)}</pre>
          <CopyButton text={node.command_line} />
        </div>
      ) : null}
      {node.facts.decoded ? (
        <div className="column" style={{ gap: 4 }} data-test="decoded">
          <span className="small secondary">{t('decide.decoded')}</span>
          <div className="row" style={{ alignItems: 'flex-start' }}>
            <pre className="copy grow" style={{ margin: 0 }}>{visible(node.facts.decoded)}</pre>
            <CopyButton text={node.facts.decoded} />
          </div>
        </div>
      ) : null}
      <Facts
        rows={[
          [t('fact.started'), <Time key="s" at={node.at} />],
          node.ended_at ? [t('fact.ended'), <span key="e"><Time at={node.ended_at} /> <span className="secondary">({duration(ms(node.ended_at) - ms(node.at), language)})</span></span>] : null,
          node.user ? [t('fact.user'), visible(node.user)] : null,
          process ? ['PID', process.split('/')[1]] : null,
          node.sha256 ? ['SHA-256', <Link key="h" to={to.file(node.sha256)} className="mono">{shortHash(node.sha256)}</Link>] : null,
          node.prevalence !== null && node.prevalence !== undefined ? [t('fact.prevalence'), t('tree.prevalence', { count: node.prevalence })] : null,
          ...Object.entries(node.facts).filter(([name]) => name !== 'decoded').map(([name, value]): [string, React.ReactNode] => [factName(t, name), <span key={name} className="mono wrap">{visible(String(value))}</span>]),
        ]}
      />
      {node.sha256 ? <Decide entity={`file:${node.sha256}`} name={node.name} incident={incident} /> : node.entity && node.kind === 'network' ? <Decide entity={node.entity} name={node.name} incident={incident} /> : null}
      <div className="row wrapping">
        {node.entity && node.kind !== 'process' && node.kind !== 'file' && pageOf(node.entity) ? (
          <Link className="button compact" to={pageOf(node.entity) ?? ''}><Crosshair size={14} aria-hidden />{t('story.pivot')}</Link>
        ) : null}
        {node.sha256 ? (
          <Link className="button compact" to={to.file(node.sha256)}><Crosshair size={14} aria-hidden />{t('story.pivotFile')}</Link>
        ) : null}
        {process && !node.ended_at ? (
          <Button compact variant="danger" onClick={() => ask({ spec: { kind: 'stop_process_tree', process }, incident })}>
            <OctagonX size={14} aria-hidden />{t('actionKind.stop_process_tree')}
          </Button>
        ) : null}
      </div>
    </div>
  );
}
