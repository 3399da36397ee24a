// What decides about a value, and what happens where.
import { useState } from 'react';
import { useGet } from '../api/queries';
import type { IndicatorEffect, IndicatorWhy } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Field } from '../ui/field';
import { Loaded } from '../ui/states';
import { ScopeLine } from './scope';
import { TONES } from './tones';

export function Why({ value: first, onClose }: { value: string; onClose: () => void }) {
  const { t } = useT();
  const [value, setValue] = useState(first);
  const asked = value.trim();
  const why = useGet<IndicatorWhy>(asked ? '/indicators/why' : null, { value: asked });
  return (
    <Dialog open wide onClose={onClose} title={t('indicator.why')} description={t('indicator.whyHint')}>
      <Field label={t('columns.value')} value={value} maxLength={2_048} className="input mono" onChange={(event) => setValue(event.target.value)} />
      {asked ? <Loaded query={why}>{(answer) => <Answer answer={answer} />}</Loaded> : null}
    </Dialog>
  );
}

function Answer({ answer }: { answer: IndicatorWhy }) {
  const { t, text } = useT();
  if (answer.considered.length === 0) return <p className="secondary" data-test="why-none">{t('indicator.whyNone')}</p>;
  return (
    <div className="column" data-test="why">
      <p className="small secondary">{text(answer.precedence)}</p>
      {answer.considered.map((one) => (
        <section key={one.id} className="column" style={{ gap: '4px' }}>
          <div className="row wrapping">
            <Chip tone={one.ended ? '' : TONES[one.action]}>{t(`indicatorState.${one.action}`)}</Chip>
            <span>{t(`indicatorKind.${one.kind}`)}</span>
            <span className="mono" style={{ overflowWrap: 'anywhere' }}>{visible(one.value)}</span>
            {answer.decided_by === one.id ? <span className="strong">{t('indicator.decides')}</span> : null}
            {one.ended ? <span className="strong">{t('indicator.ended')}</span> : null}
          </div>
          <p className="small secondary">{text(one.reason)}</p>
          <ScopeLine scope={one.scope} />
          {one.ended ? null : <Effects effects={one.effects} />}
        </section>
      ))}
    </div>
  );
}

/** What happens at each place, also where it is not enforced. */
export function Effects({ effects }: { effects: IndicatorEffect[] }) {
  const { t, text } = useT();
  return (
    <ul className="small" style={{ margin: 0, paddingInlineStart: '20px' }}>
      {effects.map((effect) => <li key={effect.place} className={effect.enforced ? undefined : 'secondary'}><span className="strong">{t(`indicatorPlace.${effect.place}`)}</span>: {text(effect.text)}</li>)}
    </ul>
  );
}
