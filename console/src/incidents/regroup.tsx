// Regrouping by hand: incidents are merged and taken apart, alerts move.
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post } from '../api/client';
import { invalidate } from '../api/queries';
import { correlationReasons, type AlertSummary, type CorrelationReason, type IncidentDetail } from '../api/types';
import { useT } from '../i18n';
import { to } from '../lib/entity';
import { useNavigate } from '../lib/router';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Field, Select, TextArea } from '../ui/field';
import { useToast } from '../ui/toast';
import { incidentName } from './shared';

const numbersIn = (text: string) => [...text.matchAll(/\d+/g)].map((match) => Number(match[0]));

function useRegroup(route: '/alerts/move' | `/incidents/${number}/merge` | `/incidents/${number}/unmerge`, done: (incident: IncidentDetail) => void) {
  const { t } = useT();
  const toast = useToast();
  return useMutation<IncidentDetail, ApiError, object>({
    mutationFn: (body) => post<IncidentDetail>(route, body),
    onSuccess: (incident) => { toast.ok(t('words.saved')); done(incident); },
    onError: toast.failed,
    onSettled: () => invalidate('/incidents', '/alerts', '/actions', '/investigations'),
  });
}

export function MergeDialog({ incident, onClose }: { incident: IncidentDetail; onClose: () => void }) {
  const { t } = useT();
  const [words, setWords] = useState('');
  const [comment, setComment] = useState('');
  const merge = useRegroup(`/incidents/${incident.number}/merge`, onClose);
  const numbers = numbersIn(words);
  return (
    <Dialog open onClose={onClose} title={t('regroup.merge', { name: incidentName(incident.number) })} description={t('regroup.mergeHint')} confirm={t('regroup.mergeDo')} busy={merge.isPending}
      why={numbers.length < 1 || numbers.length > 5 ? t('regroup.numbers') : false} onConfirm={() => merge.mutate({ incidents: numbers, comment: comment.trim() || null })} test="merge-confirm">
      <Field label={t('regroup.others')} hint={t('regroup.numbers')} value={words} placeholder="INC-7, INC-9" onChange={(event) => setWords(event.target.value)} />
      <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
    </Dialog>
  );
}

export function UnmergeDialog({ number, onClose }: { number: number; onClose: () => void }) {
  const { t } = useT();
  const [comment, setComment] = useState('');
  const navigate = useNavigate();
  const unmerge = useRegroup(`/incidents/${number}/unmerge`, (out) => { onClose(); void navigate(to.incident(out.number)); });
  return (
    <Dialog open onClose={onClose} title={t('regroup.unmerge', { name: incidentName(number) })} description={t('regroup.unmergeHint')} confirm={t('regroup.unmergeDo')} busy={unmerge.isPending}
      onConfirm={() => unmerge.mutate({ comment: comment.trim() || null })} test="unmerge-confirm">
      <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
    </Dialog>
  );
}

/** Moves the chosen alerts of an incident. */
export function MoveAlerts({ alerts, clear }: { alerts: AlertSummary[]; clear: () => void }) {
  const { t } = useT();
  const [open, setOpen] = useState(false);
  const [words, setWords] = useState('');
  const [reason, setReason] = useState<CorrelationReason>('eventSequence');
  const [comment, setComment] = useState('');
  const navigate = useNavigate();
  const move = useRegroup('/alerts/move', (target) => { setOpen(false); clear(); void navigate(to.incident(target.number)); });
  const numbers = numbersIn(words);
  return (
    <>
      <Button compact data-test="move-alerts" onClick={() => setOpen(true)}>{t('regroup.move', { count: alerts.length })}</Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={t('regroup.move', { count: alerts.length })} description={t('regroup.moveHint')} confirm={t('regroup.moveDo')} busy={move.isPending}
        why={numbers.length > 1 && t('regroup.one')} test="move-confirm"
        onConfirm={() => move.mutate({ alerts: alerts.map((alert) => alert.id), incident: numbers[0] ?? null, reason: numbers.length ? reason : null, comment: comment.trim() || null })}>
        <Field label={t('regroup.target')} hint={t('regroup.targetHint')} value={words} placeholder="INC-7" onChange={(event) => setWords(event.target.value)} />
        {numbers.length ? <Select label={t('columns.linked')} value={reason} onChange={(next) => setReason(next as CorrelationReason)} choices={correlationReasons.filter((one) => one !== 'firstAlert').map((one) => ({ value: one, label: t(`reason.${one}`) }))} /> : null}
        <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
      </Dialog>
    </>
  );
}
