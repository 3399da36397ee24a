import { Check } from 'lucide-react';
import { useState } from 'react';
import { useCan, useMe } from '../api/queries';
import type { Action } from '../api/types';
import { useT } from '../i18n';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { TextArea } from '../ui/field';
import { ActionItem, DecisionResults, isApprovedBy, useDecisions } from './item';
import { useDescribe } from './describe';

const pending = (action: Action) => action.state === 'pendingApproval';

/** Approves all that waits, after showing it once. */
export function ApproveAll({ actions, variant = 'primary' }: { actions: Action[]; variant?: 'primary' | '' }) {
  const { t } = useT();
  const [open, setOpen] = useState(false);
  const [comment, setComment] = useState('');
  const describe = useDescribe();
  const may = useCan('act');
  const me = useMe();
  const { busy, run, results } = useDecisions();
  const waiting = actions.filter((action) => pending(action) && !isApprovedBy(action, me?.user.name));
  if (waiting.length === 0 && !open) return null;
  return (
    <>
      <Button variant={variant} onClick={() => setOpen(true)} why={!may && t('states.needRole', { role: t('role.responder') })} data-test="approve-all">
        <Check size={15} aria-hidden />
        {t('actions.approveAll', { count: waiting.length })}
      </Button>
      <Dialog
        open={open}
        onClose={() => setOpen(false)}
        title={t('actions.approveAll', { count: waiting.length })}
        description={t('actions.approveAllHint')}
        confirm={t('decision.approve')}
        busy={busy}
        onConfirm={() => run(waiting.map((action) => action.id), 'approve', comment, (whole) => whole && setOpen(false))}
        test="approve-all-confirm"
      >
        {results ? <DecisionResults results={results} /> : null}
        <ul className="column" style={{ gap: 6, maxHeight: 260, overflow: 'auto' }} tabIndex={0}>
          {waiting.map((action) => {
            const { title, target } = describe(action.spec);
            return (
              <li key={action.id}>
                <span className="strong">{title}</span> <span className="secondary">{target}</span>
              </li>
            );
          })}
        </ul>
        <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
      </Dialog>
    </>
  );
}

export function ActionList({ actions, showIncident }: { actions: Action[]; showIncident?: boolean }) {
  const ordered = [...actions].sort(
    (a, b) => Number(pending(b)) - Number(pending(a)) || b.created_at.localeCompare(a.created_at),
  );
  return (
    <div>
      {ordered.map((action) => (
        <ActionItem key={action.id} action={action} showIncident={showIncident} />
      ))}
    </div>
  );
}
