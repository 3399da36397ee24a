// Writing a tuning rule; it is tried on the alerts of the last 30 days before it can be saved.
import { Plus, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, patch, post } from '../api/client';
import { invalidate } from '../api/queries';
import { tuningActions, tuningFields, type NewTuningRule, type Severity, type TuningAction, type TuningCondition, type TuningField, type TuningOperator, type TuningPreview, type TuningRule } from '../api/types';
import { useNow, useT } from '../i18n';
import { to, visible } from '../lib/entity';
import { ms } from '../lib/time';
import { Link } from '../lib/router';
import { Button } from '../ui/button';
import { Chip, SeverityChip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Field, Select, TextArea } from '../ui/field';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';
import { operatorsOf } from './words';

const DAYS = ['30', '90', '365', ''] as const;
const DAY_MS = 86_400_000;
const CONDITIONS_MAX = 12;

/** Makes a rule that begins with `begin`, or changes `rule`. */
export function TuningEditor({ rule, begin, onClose }: { rule: TuningRule | null; begin: NewTuningRule | TuningRule; onClose: () => void }) {
  const { t } = useT();
  const now = useNow();
  const toast = useToast();
  const [title, setTitle] = useState(begin.title);
  const [conditions, setConditions] = useState<TuningCondition[]>(begin.conditions);
  const [action, setAction] = useState<TuningAction>(begin.action);
  const [severity, setSeverity] = useState<Severity>(begin.severity ?? 'low');
  const [comment, setComment] = useState(begin.comment ?? '');
  const [days, setDays] = useState<string>(rule ? 'kept' : '90');
  const [enabled, setEnabled] = useState(begin.enabled ?? true);
  const wanted = (): NewTuningRule => ({
    title: title.trim(), conditions, action, severity: action === 'lowerSeverity' ? severity : null, enabled, comment: comment.trim(),
    expires_at: days === 'kept' ? begin.expires_at ?? null : days ? new Date(now + Number(days) * DAY_MS).toISOString() : null,
  });
  const about = JSON.stringify([conditions, action, action === 'lowerSeverity' && severity]);
  const preview = useMutation<TuningPreview, ApiError, string>({
    mutationFn: () => {
      const asked = wanted();
      // one that has expired is tried all the same
      const end = asked.expires_at && ms(asked.expires_at) <= now ? null : asked.expires_at;
      return post<TuningPreview>('/tuning/preview', { ...asked, title: asked.title || '?', expires_at: end });
    },
    onError: toast.failed,
  });
  const tried = preview.data && preview.variables === about ? preview.data : null;
  const save = useMutation<TuningRule, ApiError>({
    mutationFn: () => rule ? patch<TuningRule>(`/tuning/${rule.id}`, changes(rule, wanted()), rule) : post<TuningRule>('/tuning', wanted()),
    onSuccess: () => { toast.ok(t('words.saved')); onClose(); },
    onError: toast.failed,
    onSettled: () => invalidate('/tuning', '/alerts'),
  });
  const change = (at: number, next: Partial<TuningCondition>) => setConditions(conditions.map((one, index) => (index === at ? { ...one, ...next } : one)));
  const why = !title.trim() ? t('tuning.titleMissing') : conditions.some((one) => one.values.every((value) => !value.trim())) ? t('tuning.valueMissing') : !tried ? t('tuning.tryFirst') : false;
  return (
    <Dialog open onClose={onClose} wide title={t(rule ? 'tuning.edit' : 'tuning.add')} description={t('tuning.hint')} confirm={t('words.save')} busy={save.isPending} why={why}
      onConfirm={() => save.mutate()} test="tuning-save">
      <Field label={t('columns.name')} value={title} maxLength={200} onChange={(event) => setTitle(event.target.value)} />
      <fieldset className="column" style={{ gap: 8, border: 0, padding: 0, margin: 0 }}>
        <legend className="strong">{t('tuning.conditions')}</legend>
        {conditions.map((condition, at) => (
          <div key={at} className="row wrapping" style={{ gap: 8 }} data-test="tuning-condition">
            <Select shown={false} label={t('tuning.field', { number: at + 1 })} value={condition.field}
              onChange={(field) => change(at, { field: field as TuningField, operator: operatorsOf(field as TuningField).includes(condition.operator) ? condition.operator : 'equals' })}
              choices={tuningFields.map((one) => ({ value: one, label: t(`tuning.fields.${one}`) }))} />
            <Select shown={false} label={t('tuning.operator', { number: at + 1 })} value={condition.operator} onChange={(operator) => change(at, { operator: operator as TuningOperator })}
              choices={operatorsOf(condition.field).map((one) => ({ value: one, label: t(`tuning.operatorNames.${one}`) }))} />
            <textarea className="input mono grow" rows={Math.min(4, Math.max(1, condition.values.length))} style={{ minHeight: 32, minWidth: 180 }} aria-label={t('tuning.values', { number: at + 1 })}
              value={condition.values.join('\n')} onChange={(event) => change(at, { values: event.target.value.split('\n') })}
              onBlur={() => change(at, { values: condition.values.filter((value) => value.trim()).length ? condition.values.filter((value) => value.trim()) : [''] })} />
            <Button variant="quiet" compact icon why={conditions.length === 1 && t('tuning.oneNeeded')} aria-label={t('tuning.drop', { number: at + 1 })} title={t('tuning.drop', { number: at + 1 })}
              onClick={() => setConditions(conditions.filter((_, index) => index !== at))}><Trash2 size={15} aria-hidden /></Button>
          </div>
        ))}
        <span className="small secondary">{t('tuning.valuesHint')}</span>
        {conditions.length < CONDITIONS_MAX ? <div><Button compact onClick={() => setConditions([...conditions, { field: 'fileName', operator: 'equals', values: [''] }])}><Plus size={14} aria-hidden />{t('tuning.addCondition')}</Button></div> : null}
      </fieldset>
      <div className="columns" style={{ gridTemplateColumns: '1fr 1fr', gap: 12 }}>
        <Select label={t('tuning.does')} value={action} onChange={(next) => setAction(next as TuningAction)} choices={tuningActions.map((one) => ({ value: one, label: t(`tuning.actions.${one}`) }))} />
        {action === 'lowerSeverity' ? <Select label={t('columns.severity')} value={severity} onChange={(next) => setSeverity(next as Severity)} choices={(['informational', 'low', 'medium'] as const).map((one) => ({ value: one, label: t(`severity.${one}`) }))} /> : null}
        <Select label={t('columns.expires')} value={days} onChange={setDays}
          choices={[...(rule ? [{ value: 'kept', label: t('tuning.asBefore') }] : []), ...DAYS.map((one) => ({ value: one, label: one ? t('words.days', { count: Number(one) }) : t('words.never') }))]} />
        <Select label={t('columns.status')} value={String(enabled)} onChange={(next) => setEnabled(next === 'true')} choices={[{ value: 'true', label: t('tuning.on') }, { value: 'false', label: t('tuning.off') }]} />
      </div>
      <TextArea label={t('tuning.comment')} value={comment} onChange={setComment} />
      <div><Button busy={preview.isPending} onClick={() => preview.mutate(about)} data-test="tuning-preview">{t('tuning.try')}</Button></div>
      {tried ? <Tried seen={tried} action={action} /> : null}
    </Dialog>
  );
}

/** Only what was changed, so that what others changed meanwhile stays. */
function changes(rule: TuningRule, wanted: NewTuningRule): Partial<NewTuningRule> {
  const differs = ([field, value]: [string, unknown]) => JSON.stringify(value ?? null) !== JSON.stringify(rule[field as keyof TuningRule] ?? null);
  return Object.fromEntries(Object.entries(wanted).filter(differs));
}

function Tried({ seen, action }: { seen: TuningPreview; action: TuningAction }) {
  const { t, text } = useT();
  return (
    <section className="column" style={{ gap: 8 }} data-test="tuning-seen" aria-live="polite">
      <p className="banner info">{t(`tuning.would.${action}`, { count: seen.matches, days: seen.days, devices: seen.devices, all: seen.looked_at })}{seen.complete ? '' : ` ${t('tuning.notAll')}`}</p>
      {seen.warnings.map((warning, index) => <p key={index} className="banner high" data-test="tuning-warning">{text(warning)}</p>)}
      {seen.alerts.length ? (
        <div className="table-scroll" tabIndex={0} role="region" aria-label={t('tuning.matching')} style={{ maxHeight: 220 }}>
          <table className="plain">
            <thead><tr><th>{t('columns.severity')}</th><th>{t('columns.alert')}</th><th>{t('columns.asset')}</th><th>{t('columns.classification')}</th><th>{t('columns.time')}</th></tr></thead>
            <tbody>
              {seen.alerts.map((alert) => (
                <tr key={alert.id}>
                  <td><SeverityChip severity={alert.severity} /></td>
                  <td className="wrap"><Link to={to.alert(alert.id)}>{visible(text(alert.title))}</Link></td>
                  <td>{alert.device ? visible(alert.device.name) : alert.mailboxes[0] ? visible(alert.mailboxes[0]) : '—'}</td>
                  <td>{alert.classification === 'truePositive' ? <Chip tone="high">{t('classification.truePositive')}</Chip> : t(`classification.${alert.classification}`)}</td>
                  <td><Ago at={alert.last_activity} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </section>
  );
}
