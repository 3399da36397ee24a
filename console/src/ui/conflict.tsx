// Two people at once: who was slower sees what is there now beside the own change, and decides.
import { useEffect, useRef, useState } from 'react';
import { setConflict, type Conflict } from '../api/client';
import type { Activity, Text, TuningCondition } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { useWords } from '../tuning/words';
import { Button } from './button';
import { Dialog } from './dialog';
import { Ago } from './time';

const HEADS = {
  status: 'columns.status', severity: 'columns.severity', assigned_to: 'columns.owner', classification: 'columns.classification',
  determination: 'columns.determination', title: 'incident.title', tags: 'incident.tags', role: 'columns.role',
  automation_level: 'columns.automation', conditions: 'tuning.conditions', action: 'tuning.does', comment: 'tuning.comment', enabled: 'columns.status',
  expires_at: 'columns.expires', owner: 'columns.owner',
} as const;

export default function ConflictDialog() {
  const { t } = useT();
  const [conflict, setShown] = useState<Conflict | null>(null);
  const answer = useRef<(again: boolean) => void>(() => {});

  useEffect(() => {
    setConflict(
      (next) =>
        new Promise<boolean>((resolve) => {
          answer.current = resolve;
          setShown(next);
        }),
    );
  }, []);

  const finish = (again: boolean) => {
    setShown(null);
    answer.current(again);
  };
  const last = (conflict?.current.activities as Activity[] | undefined)?.at(-1);
  return (
    <Dialog open={conflict !== null} onClose={() => finish(false)} title={t('conflict.title')} description={t('conflict.hint')}
      confirm={t('conflict.apply')} onConfirm={() => finish(true)} test="conflict-apply">
      {last ? <p className="secondary">{t('conflict.by', { who: visible(last.actor) })} <Ago at={last.at} /></p> : null}
      {conflict ? <Differences conflict={conflict} /> : null}
      <div><Button variant="text" onClick={() => finish(false)} data-test="conflict-drop">{t('conflict.drop')}</Button></div>
    </Dialog>
  );
}

function Differences({ conflict: { route, change, current } }: { conflict: Conflict }) {
  const { t, text } = useT();
  const condition = useWords();
  const head = (field: string) => (field in HEADS ? t(HEADS[field as keyof typeof HEADS]) : field);
  const words = (field: string, value: unknown): string => {
    if (value === null || value === undefined || value === '') return field === 'assigned_to' ? t('words.nobody') : '—';
    if (Array.isArray(value)) return value.map((one) => (one !== null && typeof one === 'object' ? condition(one as TuningCondition) : visible(String(one)))).join(', ') || '—';
    if (typeof value === 'object') return 'en' in value && 'ja' in value ? visible(text(value as Text)) : JSON.stringify(value);
    const word = String(value) as never;
    switch (field) {
      case 'status': return route.startsWith('/alerts') ? t(`alertStatus.${word}`) : t(`incidentStatus.${word}`);
      case 'severity': return t(`severity.${word}`);
      case 'classification': return t(`classification.${word}`);
      case 'determination': return t(`determination.${word}`);
      case 'action': return t(`tuning.actions.${word}`);
      case 'enabled': return t(value ? 'tuning.on' : 'tuning.off');
      case 'role': return t(`role.${word}`);
      case 'automation_level': return t(`automation.${word}`);
      default: return visible(String(value));
    }
  };
  return (
    <table className="plain">
      <thead><tr><th><span className="hidden-text">{t('conflict.field')}</span></th><th>{t('conflict.now')}</th><th>{t('conflict.yours')}</th></tr></thead>
      <tbody>
        {Object.entries(change).filter(([, value]) => value !== undefined).map(([field, value]) => (
          <tr key={field}>
            <th scope="row">{head(field)}</th>
            <td className="wrap">{words(field, current[field])}</td>
            <td className="wrap strong">{words(field, value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
