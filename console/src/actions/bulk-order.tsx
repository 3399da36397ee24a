// The same order for several targets: one reason, an action of its own for each.
import { useState } from 'react';
import { orderKey, post } from '../api/client';
import { invalidate } from '../api/queries';
import type { Action, ActionSpec, NewAction } from '../api/types';
import { useT } from '../i18n';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { TextArea } from '../ui/field';
import { useToast } from '../ui/toast';

export function BulkOrder({ label, specs, danger, why, done, families, test }: {
  label: string; specs: ActionSpec[]; danger?: boolean; why?: string | false; done: () => void; families: string[]; test?: string;
}) {
  const { t } = useT();
  const toast = useToast();
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    let ordered = 0;
    try {
      for (const spec of specs) {
        await post<Action>('/actions', { spec, reason: reason.trim() } satisfies NewAction, { idempotencyKey: orderKey() });
        ordered += 1;
      }
      setOpen(false);
      done();
    } catch (error) {
      toast.failed(error);
    } finally {
      setBusy(false);
      if (ordered > 0) toast.ok(t('actions.orderedMany', { count: ordered }));
      await invalidate('/actions', ...families);
    }
  };
  return (
    <>
      <Button compact variant={danger ? 'danger' : ''} why={why} onClick={() => setOpen(true)} data-test={test}>{label}</Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={`${label} (${specs.length})`} confirm={label} danger={danger} busy={busy} test="bulk-order-confirm"
        why={!reason.trim() && t('actions.reasonMissing')} onConfirm={() => void run()}>
        {specs[0] ? <p>{t(`actionEffect.${specs[0].kind}`)}</p> : null}
        <TextArea label={t('actions.reason')} value={reason} onChange={setReason} placeholder={t('actions.reasonHint')} required />
      </Dialog>
    </>
  );
}
