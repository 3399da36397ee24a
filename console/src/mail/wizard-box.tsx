// Three steps, the same for 1 copy and for 200,000: what to do, what it would touch (asked live), the order.
import { useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useNavigate } from 'react-router';
import { ApiError, orderKey, post } from '../api/client';
import { invalidate, useCan } from '../api/queries';
import {
  remedies, type Action, type ActionSpec, type DryRun, type DryRunResult, type MailBulk, type MailFilter, type MessageRemedy, type NewAction, type NewMailBulk,
} from '../api/types';
import { useT } from '../i18n';
import { to } from '../lib/entity';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Facts, Field, TextArea } from '../ui/field';
import { useToast } from '../ui/toast';
import { DryRunView } from './dry-run';
import { moverOf } from './where';
import type { Scope } from './wizard';

type Choice = MessageRemedy | 'restore';
const REMOVES: ReadonlySet<Choice> = new Set(['moveToQuarantine', 'softDelete', 'hardDelete']);
const STEPS = ['what', 'scope', 'order'] as const;

export function specOf(remedy: MessageRemedy, copies: { message_id: string; recipient: string }[], senders_copy: boolean): ActionSpec {
  switch (remedy) {
    case 'moveToQuarantine':
      return { kind: 'quarantine_messages', copies, senders_copy };
    case 'softDelete':
      return { kind: 'soft_delete_messages', copies, senders_copy };
    case 'hardDelete':
      return { kind: 'hard_delete_messages', copies, senders_copy };
    case 'moveToJunk':
      return { kind: 'move_messages_to_junk', copies };
    case 'moveToInbox':
      return { kind: 'move_messages_to_inbox', copies };
    case 'moveToDeletedItems':
      return { kind: 'move_messages_to_deleted_items', copies };
  }
}

/** What is gone already is not asked for, as the server does it. */
export function leftOver(filter: MailFilter): MailFilter {
  return { ...filter, conditions: [...(filter.conditions ?? []), { field: 'location', values: ['quarantine', 'dropped'], negate: true }] };
}

export default function WizardBox({ scope, onClose }: { scope: Scope; onClose: () => void }) {
  const { t } = useT();
  const navigate = useNavigate();
  const toast = useToast();
  const may = useCan('act');
  const [step, setStep] = useState(0);
  const [choice, setChoice] = useState<Choice>('moveToQuarantine');
  const [sendersCopy, setSendersCopy] = useState(false);
  const [related, setRelated] = useState(false);
  const [confirmed, setConfirmed] = useState(false);
  const [name, setName] = useState('');
  const [reason, setReason] = useState('');
  const [propose, setPropose] = useState(false);
  const movers = [...new Set(scope.known.flatMap((one) => one.recipients.map(moverOf)).filter((id) => id !== null))];

  const dryRun = useMutation<DryRunResult, ApiError, DryRun>({ mutationFn: (order) => post<DryRunResult>('/mail/dry-run', order) });
  const ask = dryRun.mutate;
  const askNow = () => ask(scope.filter ? { copies: [], filter: leftOver(scope.filter), since: scope.since ?? null, related } : { copies: scope.copies ?? [], since: scope.since ?? null, related });
  const restore = choice === 'restore';
  useEffect(() => {
    if (step === 1 && !restore) askNow();
    // asked once per visit of the step
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [step, restore]);

  const order = useMutation<string, Error, void>({
    mutationFn: async () => {
      const words = [name.trim(), reason.trim()].filter(Boolean).join(': ');
      if (restore) {
        for (const id of movers) await post(`/actions/${id}/undo`, { comment: words });
        return movers.length === 1 ? to.action(movers[0]!) : '/actions?tab=undone';
      }
      const senders_copy = sendersCopy && REMOVES.has(choice);
      const common = { reason: words, incident_id: scope.incident ?? null, propose_only: propose };
      if (scope.filter) {
        const bulk: NewMailBulk = { ...common, filter: scope.filter, remedy: choice, senders_copy, related, confirmed };
        return `/mail/bulk/${(await post<MailBulk>('/mail/bulk', bulk, { idempotencyKey: orderKey() })).id}`;
      }
      const action: NewAction = { ...common, related, spec: specOf(choice, scope.copies ?? [], senders_copy) };
      return to.action((await post<Action>('/actions', action, { idempotencyKey: orderKey() })).id);
    },
    onSuccess: (page) => {
      void invalidate('/actions', '/mail', '/messages', '/files', '/incidents');
      onClose();
      void navigate(page);
    },
    onError: (error) => {
      toast.failed(error);
      // something came up since the dry run: look again
      if (error instanceof ApiError && error.code === 'needs_person') {
        setConfirmed(false);
        setStep(1);
      }
    },
  });

  const what = t(`remedy.${choice}`);
  const found = dryRun.data;
  const warned = Boolean(found?.needs_person.length);
  const stepWhy = [
    restore && movers.length === 0 && t('wizard.restoreNone'),
    !restore && ((!found && t('wizard.asking')) || (found && found.copies === 0 && t('wizard.nothing')) || (warned && !confirmed && t('wizard.confirmMissing'))),
    !reason.trim() && t('wizard.reasonMissing'),
  ][step];
  const why = (!may && t('states.needRole', { role: t('role.responder') })) || stepWhy || false;
  const next = () => (step < 2 ? setStep(step + 1) : order.mutate());
  const chosen = scope.all ? t('wizard.byFilter') : scope.copies ? t('wizard.byCopies', { count: scope.copies.length }) : t('wizard.byHand', { count: scope.messages });

  return (
    <Dialog open wide onClose={onClose} title={t('wizard.title')} description={t('wizard.step', { at: step + 1, name: t(`wizard.steps.${STEPS[step]!}`) })} onConfirm={() => !why && next()}>
      <ol className="wizard-steps" aria-hidden>{STEPS.map((one, index) => <li key={one} data-at={index === step || undefined} data-done={index < step || undefined}>{t(`wizard.steps.${one}`)}</li>)}</ol>
      {step === 0 ? (
        <>
          <p><span className="secondary">{t('wizard.of')}: </span><span className="strong">{chosen}</span></p>
          <fieldset className="remedies">
            <legend className="hidden-text">{t('wizard.action')}</legend>
            {[...remedies, 'restore' as const].map((one) => (
              <label key={one} className="radio-card">
                <input type="radio" name="remedy" value={one} checked={choice === one} onChange={() => setChoice(one)} data-test={`remedy-${one}`} />
                <span><span className="strong">{t(`remedy.${one}`)}</span><br /><span className="small secondary">{t(`remedyHint.${one}`)}</span></span>
              </label>
            ))}
          </fieldset>
          {REMOVES.has(choice) ? (
            <label className="row"><input type="checkbox" className="checkbox" checked={sendersCopy} onChange={(event) => setSendersCopy(event.target.checked)} />{t('wizard.sendersCopy')}</label>
          ) : null}
          {restore ? null : (
            <label className="row"><input type="checkbox" className="checkbox" checked={related} onChange={(event) => setRelated(event.target.checked)} data-test="related" />{t('wizard.related')}</label>
          )}
        </>
      ) : step === 1 ? (
        restore ? <p>{t('wizard.restoring', { count: movers.length })} {t('wizard.restoreHint')}</p> : (
            <DryRunView run={dryRun} retry={askNow} confirm={
              <label className="row strong"><input type="checkbox" className="checkbox" checked={confirmed} data-test="confirm-warnings" onChange={(event) => setConfirmed(event.target.checked)} />{t('wizard.confirm')}</label>
            } />
        )
      ) : (
        <>
          <Facts rows={[
            [t('wizard.action'), what],
            [t('wizard.of'), chosen],
            !restore && found !== undefined && [t('wizard.summary'), `${t('wizard.copies')} ${found.copies} · ${t('wizard.present')} ${found.present} · ${t('wizard.mailboxes')} ${found.mailboxes.length}`],
            restore && [t('wizard.summary'), t('wizard.restoring', { count: movers.length })],
          ]} />
          <Field label={t('wizard.name')} hint={t('wizard.nameHint')} value={name} maxLength={100} onChange={(event) => setName(event.target.value)} data-test="wizard-name" />
          <TextArea label={t('wizard.reason')} value={reason} onChange={setReason} placeholder={t('actions.reasonHint')} required />
          {restore ? null : (
            <fieldset className="column remedies" style={{ gap: 6 }}>
              <legend className="strong small">{t('wizard.approval')}</legend>
              <label className="row"><input type="radio" name="approval" checked={!propose} onChange={() => setPropose(false)} />{t('wizard.now')}</label>
              <label className="row"><input type="radio" name="approval" checked={propose} onChange={() => setPropose(true)} data-test="propose" />{t('wizard.propose')}</label>
            </fieldset>
          )}
        </>
      )}
      <div className="buttons">
        <Button onClick={step === 0 ? onClose : () => setStep(step - 1)}>{step === 0 ? t('words.cancel') : t('wizard.back')}</Button>
        <Button type="submit" variant={step === 2 && REMOVES.has(choice) ? 'danger solid' : 'primary'} busy={order.isPending} why={why} data-test="wizard-next">
          {step < 2 ? t('wizard.next') : t(propose && !restore ? 'wizard.confirmPropose' : 'wizard.confirmNow', { what })}
        </Button>
      </div>
    </Dialog>
  );
}
