// Verdicts of other filters. Their words and addresses come from outside: shown, never followed.
import type { FilterVerdict } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { CopyButton } from '../ui/button';
import { Chip, VerdictChip } from '../ui/chips';

export function EngineVerdicts({ filters }: { filters: FilterVerdict[] }) {
  const { t } = useT();
  return (
    <ul className="column" style={{ gap: 10 }}>
      {filters.map((one, index) => (
        <li key={index} className="engine" data-test="engine">
          <span className="row wrapping"><span className="strong">{visible(one.engine)}</span><VerdictChip verdict={one.verdict} />{one.threat ? <Chip tone="outline">{t(`threat.${one.threat}`)}</Chip> : null}</span>
          <span className="secondary wrap">{visible(one.reason)}</span>
          {one.link ? <span className="row small"><span className="secondary">{t('message.link')}</span><span className="mono wrap">{visible(one.link)}</span><CopyButton text={one.link} /></span> : null}
        </li>
      ))}
    </ul>
  );
}
