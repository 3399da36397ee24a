import { Play } from 'lucide-react';
import { useCan } from '../api/queries';
import type { NextStep } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Button } from '../ui/button';
import { useAsk } from '../actions/order';
import { useDescribe } from '../actions/describe';

/** What an administrator does next, in order; a step that is an action is one button. */
export function NextSteps({ steps, incident }: { steps: NextStep[]; incident?: string | null }) {
  const { t, text } = useT();
  const ask = useAsk();
  const may = useCan('act');
  const describe = useDescribe();
  if (steps.length === 0) return <p className="secondary">{t('alert.noSteps')}</p>;
  return (
    <ol>
      {steps.map((step, index) => {
        const action = step.action;
        return (
          <li key={index} className="next-step">
            <span className="index" aria-hidden>{index + 1}</span>
            <div className="column" style={{ gap: 6 }}>
              <span className="wrap">{visible(text(step.text))}</span>
              {action ? (
                <div>
                  <Button compact why={!may && t('states.needRole', { role: t('role.responder') })}
                    onClick={() => ask({ spec: action, incident, reason: text(step.text) })}>
                    <Play size={13} aria-hidden />
                    {describe(action).title}
                  </Button>
                </div>
              ) : null}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
