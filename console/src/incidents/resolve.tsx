import { useState } from 'react';
import type { Classification, Determination } from '../api/types';
import { classifications } from '../api/types';
import { useT } from '../i18n';
import { Dialog } from '../ui/dialog';
import { Select, TextArea } from '../ui/field';

/** The finer answers each classification allows. */
export const determinationsOf: Record<Classification, Determination[]> = {
  unknown: ['unknown'],
  truePositive: ['multiStagedAttack', 'malware', 'phishing', 'compromisedAccount', 'maliciousUserActivity', 'unwantedSoftware', 'other'],
  informationalExpectedActivity: ['securityTesting', 'lineOfBusinessApplication', 'confirmedActivity', 'other'],
  falsePositive: ['notMalicious', 'notEnoughDataToValidate', 'other'],
};

export interface Resolution { status: 'resolved'; classification: Classification; determination: Determination; comment?: string }

export function ResolveDialog({ open, onClose, onResolve, busy, count = 1, waiting = 0 }: {
  open: boolean; onClose: () => void; onResolve: (resolution: Resolution) => void; busy: boolean; count?: number; waiting?: number;
}) {
  const { t } = useT();
  const [classification, setClassification] = useState<Classification>('truePositive');
  const [determination, setDetermination] = useState<Determination>('multiStagedAttack');
  const [comment, setComment] = useState('');
  const choose = (value: string) => {
    const next = value as Classification;
    setClassification(next);
    setDetermination(determinationsOf[next][0]!);
  };
  return (
    <Dialog open={open} onClose={onClose} title={t('incident.resolve', { count })} confirm={t('incident.resolveDo')} busy={busy}
      onConfirm={() => onResolve({ status: 'resolved', classification, determination, comment: comment.trim() || undefined })} test="resolve-confirm">
      {waiting > 0 ? <div className="banner">{t('incident.resolveWaiting', { count: waiting })}</div> : null}
      <Select label={t('columns.classification')} value={classification} onChange={choose}
        choices={classifications.filter((one) => one !== 'unknown').map((one) => ({ value: one, label: t(`classification.${one}`) }))} />
      <Select label={t('columns.determination')} value={determination} onChange={(value) => setDetermination(value as Determination)}
        choices={determinationsOf[classification].map((one) => ({ value: one, label: t(`determination.${one}`) }))} />
      <TextArea label={t('actions.comment')} value={comment} onChange={setComment} />
    </Dialog>
  );
}
