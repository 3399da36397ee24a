// What holds for a device group, the other devices, or mail: level, silence, hours.
import { Plus, X } from 'lucide-react';
import { automationLevels, unansweredThens, weekdays, type AutomationHours, type AutomationLevel, type AutomationScope, type Unanswered, type UnansweredThen } from '../api/types';
import { useT } from '../i18n';
import { Button } from '../ui/button';
import { Field, Select } from '../ui/field';

const NIGHT: AutomationHours = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '19:00', to: '08:00', level: 'full', unanswered: null };

function Level({ value, inherited, change }: { value?: AutomationLevel | null; inherited: string; change: (level: AutomationLevel | null) => void }) {
  const { t } = useT();
  return (
    <Select label={t('policy.level')} value={value ?? ''} onChange={(level) => change((level || null) as AutomationLevel | null)}
      choices={[{ value: '', label: inherited }, ...automationLevels.map((level) => ({ value: level, label: t(`automation.${level}`) }))]} />
  );
}

/** What happens when nobody answers; `inherited`: there may be no word of its own. */
function Silence({ value, inherited, change }: { value?: Unanswered | null; inherited?: string; change: (value: Unanswered | null) => void }) {
  const { t } = useT();
  const set = (then: string) => change(then ? { then: then as UnansweredThen, minutes: then === 'wait' ? 0 : value?.minutes || 30 } : null);
  return (
    <>
      <Select label={t('policy.unanswered')} value={value?.then ?? ''} onChange={set}
        choices={[...(inherited ? [{ value: '', label: inherited }] : []), ...unansweredThens.map((then) => ({ value: then, label: t(`policy.then.${then}`) }))]} />
      {value && value.then !== 'wait' ? (
        <Field label={t('policy.minutes')} type="number" min={1} max={43_200} value={value.minutes} style={{ width: 110 }}
          onChange={(event) => change({ ...value, minutes: Number(event.target.value) })} />
      ) : null}
    </>
  );
}

export function Scope({ scope, server, change }: { scope: AutomationScope; server: AutomationLevel; change: (scope: AutomationScope) => void }) {
  const { t } = useT();
  const { hours } = scope;
  const put = (at: number, next: AutomationHours) => change({ ...scope, hours: hours.map((one, index) => (index === at ? next : one)) });
  return (
    <div className="column" style={{ gap: 12 }}>
      <div className="row wrapping" style={{ gap: 12, alignItems: 'flex-end' }}>
        <Level value={scope.level} inherited={t('policy.serverLevel', { level: t(`automation.${server}`) })} change={(level) => change({ ...scope, level })} />
        <Silence value={scope.unanswered} change={(unanswered) => change({ ...scope, unanswered: unanswered ?? { then: 'wait', minutes: 0 } })} />
      </div>
      {hours.map((one, at) => (
        <fieldset key={at} className="policy-hours" data-test="policy-hours">
          <legend className="small strong">{t('policy.hours')}</legend>
          <div className="row wrapping" style={{ gap: 8 }} role="group" aria-label={t('policy.days')}>
            {weekdays.map((day) => (
              <label key={day} className="row" style={{ gap: 4 }}>
                <input type="checkbox" className="checkbox" checked={one.days.includes(day)}
                  onChange={(event) => put(at, { ...one, days: weekdays.filter((other) => (other === day ? event.target.checked : one.days.includes(other))) })} />
                {t(`policy.day.${day}`)}
              </label>
            ))}
          </div>
          <div className="row wrapping" style={{ gap: 12, alignItems: 'flex-end' }}>
            <Field label={t('policy.from')} type="time" value={one.from} onChange={(event) => put(at, { ...one, from: event.target.value })} style={{ width: 120 }} />
            <Field label={t('policy.to')} type="time" value={one.to} onChange={(event) => put(at, { ...one, to: event.target.value })} style={{ width: 120 }} />
            <Level value={one.level} inherited={t('policy.sameLevel')} change={(level) => put(at, { ...one, level })} />
            <Silence value={one.unanswered} inherited={t('policy.sameAnswer')} change={(unanswered) => put(at, { ...one, unanswered })} />
            <Button compact icon title={t('policy.removeHours', { from: one.from, to: one.to })} aria-label={t('policy.removeHours', { from: one.from, to: one.to })}
              onClick={() => change({ ...scope, hours: hours.filter((_, index) => index !== at) })}><X size={14} aria-hidden /></Button>
          </div>
        </fieldset>
      ))}
      <div><Button compact onClick={() => change({ ...scope, hours: [...hours, NIGHT] })} data-test="add-hours"><Plus size={14} aria-hidden />{t('policy.addHours')}</Button></div>
    </div>
  );
}
