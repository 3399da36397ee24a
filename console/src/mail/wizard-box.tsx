// The same steps for 1 copy and for 200,000: what to do, what it would touch (asked live), what to block with it, the order.
import { useMutation } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { useNavigate } from '../lib/router';
import { ApiError, orderKey, post } from '../api/client';
import { invalidate, useCan, useGet } from '../api/queries';
import {
  remedies, type Action, type ActionSpec, type DryRun, type DryRunResult, type ExplorerMessage, type Listed, type MailBulk, type MailFilter, type MessageRemedy,
  type NewAction, type NewMailBulk, type Settings,
} from '../api/types';
import { useT } from '../i18n';
import { shown, to } from '../lib/entity';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Facts, Field, TextArea } from '../ui/field';
import { useToast } from '../ui/toast';
import { number } from '../lib/time';
import { candidatesOf, keyOf, specsOf } from './block';
import { BlockStep } from './block-step';
import { DryRunView } from './dry-run';
import { conditionsOf } from './filter';
import { moverOf } from './where';
import type { Scope } from './wizard';
import { fieldKey, mailWord } from './words';

type Choice = MessageRemedy | 'restore';
const REMOVES: ReadonlySet<Choice> = new Set(['moveToQuarantine', 'softDelete', 'hardDelete']);
const STEPS = ['what', 'scope', 'block', 'order'] as const;
/** Undoing blocks nothing. */
const RESTORE_STEPS = ['what', 'scope', 'order'] as const;
/** How often a filter's messages are counted while somebody decides. */
const COUNT_MS = 5_000;

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
  const { t, language } = useT();
  const navigate = useNavigate();
  const toast = useToast();
  const may = useCan('act');
  const [at, setStep] = useState(0);
  const [choice, setChoice] = useState<Choice>('moveToQuarantine');
  const [sendersCopy, setSendersCopy] = useState(false);
  const [related, setRelated] = useState(false);
  const [confirmed, setConfirmed] = useState(false);
  const [name, setName] = useState('');
  const [reason, setReason] = useState('');
  const [propose, setPropose] = useState(false);
  const [blocked, setBlocked] = useState<ReadonlySet<string>>(new Set());
  const [days, setDays] = useState('90');
  const settings = useGet<Settings>('/settings');
  const counted = useGet<Listed<ExplorerMessage>>(scope.all && scope.filter ? '/mail/explorer' : null, scope.filter ? { ...conditionsOf(scope.filter), limit: 1 } : {}, { poll: COUNT_MS });
  const movers = [...new Set(scope.known.flatMap((one) => one.recipients.map(moverOf)).filter((id) => id !== null))];

  const dryRun = useMutation<DryRunResult, ApiError, DryRun>({ mutationFn: (order) => post<DryRunResult>('/mail/dry-run', order) });
  const ask = dryRun.mutate;
  const askNow = () => ask(scope.filter ? { copies: [], filter: leftOver(scope.filter), since: scope.since ?? null, related } : { copies: scope.copies ?? [], since: scope.since ?? null, related });
  const restore = choice === 'restore';
  const steps: readonly (typeof STEPS)[number][] = restore ? RESTORE_STEPS : STEPS;
  const step = steps[at]!;
  const last = at === steps.length - 1;
  useEffect(() => {
    if (step === 'scope' && !restore) askNow();
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
      const block = specsOf(candidates.filter((one) => blocked.has(keyOf(one))), days, words, Date.now());
      const common = { reason: words, incident_id: scope.incident ?? null, propose_only: propose };
      if (scope.filter) {
        const bulk: NewMailBulk = { ...common, filter: scope.filter, remedy: choice, senders_copy, related, confirmed, block };
        return `/mail/bulk/${(await post<MailBulk>('/mail/bulk', bulk, { idempotencyKey: orderKey() })).id}`;
      }
      const action: NewAction = { ...common, related, spec: specOf(choice, scope.copies ?? [], senders_copy) };
      const made = await post<Action>('/actions', action, { idempotencyKey: orderKey() });
      const blocks: string[] = [];
      for (const indicator of block) blocks.push((await post<Action>('/actions', { ...common, spec: { kind: 'add_indicator', indicator } } satisfies NewAction, { idempotencyKey: orderKey() })).id);
      return to.action(made.id) + (blocks.length > 0 ? `?with=${blocks.join(',')}` : '');
    },
    onSuccess: (page) => {
      void invalidate('/actions', '/mail', '/messages', '/files', '/incidents', '/indicators', '/pivot');
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
  const candidates = useMemo(() => candidatesOf([...scope.known, ...(found?.sample ?? [])], settings.data?.server.own_domains ?? []), [scope.known, found, settings.data]);
  const warned = Boolean(found?.needs_person.length);
  const stepWhy = {
    what: restore && movers.length === 0 && t('wizard.restoreNone'),
    scope: !restore && ((!found && t('wizard.asking')) || (found && found.copies === 0 && t('wizard.nothing')) || (warned && !confirmed && t('wizard.confirmMissing'))),
    block: false as const,
    order: !reason.trim() && t('wizard.reasonMissing'),
  }[step];
  const why = (!may && t('states.needRole', { role: t('role.responder') })) || stepWhy || false;
  const next = () => (last ? order.mutate() : setStep(at + 1));
  const chosen = scope.all ? `${t('wizard.byFilter')}: ${t('explorer.groupMessages', { count: counted.data?.total ?? scope.messages })}` : scope.copies ? t('wizard.byCopies', { count: scope.copies.length }) : scope.narrow?.length ? t('explorer.groupMessages', { count: scope.messages }) : t('wizard.byHand', { count: scope.messages });
  const narrow = (scope.narrow ?? []).map(({ field, negate, values }) => `${t(fieldKey(field))}: ${negate ? `${t('explorer.not')} ` : ''}${values.map((value) => mailWord(t, field, value)).join(` ${t('explorer.or')} `)}`).join(' · ');

  return (
    <Dialog open wide onClose={onClose} title={t('wizard.title')} description={t('wizard.step', { at: at + 1, of: steps.length, name: t(`wizard.steps.${step}`) })} onConfirm={() => !why && next()}>
      <ol className="wizard-steps" aria-hidden>{steps.map((one, index) => <li key={one} data-at={index === at || undefined} data-done={index < at || undefined}>{t(`wizard.steps.${one}`)}</li>)}</ol>
      {step === 'what' ? (
        <>
          <p><span className="secondary">{t('wizard.of')}: </span><span className="strong">{chosen}</span></p>
          {narrow ? <p className="small secondary wrap" data-test="narrow">{t('wizard.narrow', { filter: narrow })}</p> : null}
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
      ) : step === 'scope' ? (
        restore ? <p>{t('wizard.restoring', { count: movers.length })} {t('wizard.restoreHint')}</p> : (
            <DryRunView run={dryRun} retry={askNow} confirm={
              <label className="row strong"><input type="checkbox" className="checkbox" checked={confirmed} data-test="confirm-warnings" onChange={(event) => setConfirmed(event.target.checked)} />{t('wizard.confirm')}</label>
            } />
        )
      ) : step === 'block' ? (
        <BlockStep candidates={candidates} chosen={blocked} onChosen={setBlocked} days={days} onDays={setDays} />
      ) : (
        <>
          <Facts rows={[
            [t('wizard.action'), what],
            [t('wizard.of'), chosen],
            !restore && found !== undefined && [t('wizard.summary'), `${t('wizard.copies')} ${number(found.copies, language)} · ${t('wizard.present')} ${number(found.present, language)} · ${t('wizard.mailboxes')} ${number(found.mailboxes.length, language)}`],
            !restore && blocked.size > 0 && [t('wizard.blocking'), <ul key="b">{candidates.filter((one) => blocked.has(keyOf(one))).map((one) => <li key={keyOf(one)} className="wrap">{t(`indicatorKind.${one.kind}`)}: {shown(one.kind, one.name)}</li>)}</ul>],
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
        <Button onClick={at === 0 ? onClose : () => setStep(at - 1)}>{at === 0 ? t('words.cancel') : t('wizard.back')}</Button>
        <Button type="submit" variant={last && REMOVES.has(choice) ? 'danger solid' : 'primary'} busy={order.isPending} why={why} data-test="wizard-next">
          {step === 'block' && blocked.size === 0 ? t('wizard.skip') : !last ? t('wizard.next') : t(propose && !restore ? 'wizard.confirmPropose' : 'wizard.confirmNow', { what })}
        </Button>
      </div>
    </Dialog>
  );
}
