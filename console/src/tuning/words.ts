// How conditions and actions of tuning rules read, and which operators fit a field.
import type { NewTuningRule, TuningCondition, TuningField, TuningOperator } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';

export const operatorsOf = (field: TuningField): TuningOperator[] =>
  field === 'address' ? ['equals', 'cidr', 'startsWith', 'wildcard'] : ['equals', 'contains', 'startsWith', 'endsWith', 'wildcard'];

export const empty = (): NewTuningRule => ({
  title: '', conditions: [{ field: 'rule', operator: 'equals', values: [''] }], action: 'hide', severity: null, enabled: true, expires_at: null, owner: null, comment: '',
});

export function useWords() {
  const { t } = useT();
  return (condition: TuningCondition) =>
    t(`tuning.operators.${condition.operator}`, { field: t(`tuning.fields.${condition.field}`), value: condition.values.map(visible).join(t('tuning.or')) });
}

export function useWhat() {
  const { t } = useT();
  return ({ action, severity }: Pick<NewTuningRule, 'action' | 'severity'>) =>
    action === 'lowerSeverity' && severity ? t('tuning.lowersTo', { severity: t(`severity.${severity}`) }) : t(`tuning.actions.${action}`);
}
