// The wizard's optional step: what the messages carry, to be blocked with the same order.
import { useT } from '../i18n';
import { shown } from '../lib/entity';
import { Select } from '../ui/field';
import { Empty } from '../ui/states';
import { blockKinds, keyOf, type Candidate } from './block';

const DAYS = ['30', '90', '365', ''] as const;

export function BlockStep({ candidates, chosen, onChosen, days, onDays }: {
  candidates: Candidate[]; chosen: ReadonlySet<string>; onChosen: (chosen: Set<string>) => void; days: string; onDays: (days: string) => void;
}) {
  const { t } = useT();
  if (candidates.length === 0) return <Empty title={t('wizard.blockNothing')}>{t('wizard.blockNothingHint')}</Empty>;
  const toggle = (one: Candidate) => {
    const next = new Set(chosen);
    if (!next.delete(keyOf(one))) next.add(keyOf(one));
    onChosen(next);
  };
  return (
    <div className="column" style={{ gap: 14 }}>
      <p className="secondary">{t('wizard.blockHint')}</p>
      {blockKinds.map((kind) => {
        const own = candidates.filter((one) => one.kind === kind);
        if (own.length === 0) return null;
        return (
          <fieldset key={kind} className="block-kind">
            <legend><span className="strong">{t(`indicatorKind.${kind}`)}</span> <span className="small secondary">{t(`wizard.blockWhere.${kind}`)}</span></legend>
            {own.map((one) => (
              <label key={one.value} className="row">
                <input type="checkbox" className="checkbox" checked={chosen.has(keyOf(one))} onChange={() => toggle(one)} data-test={`block-${kind}`} />
                <span className="wrap grow">{shown(kind, one.name)}</span>
                <span className="small secondary num">{t('explorer.groupMessages', { count: one.messages })}</span>
              </label>
            ))}
          </fieldset>
        );
      })}
      {chosen.size > 0 ? <Select label={t('columns.expires')} value={days} onChange={onDays} choices={DAYS.map((one) => ({ value: one, label: one ? t('words.days', { count: Number(one) }) : t('words.never') }))} /> : null}
    </div>
  );
}
