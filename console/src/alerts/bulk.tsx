// What can be done with several alerts at once.
import { useState } from 'react';
import { patch } from '../api/client';
import { invalidate, useMe } from '../api/queries';
import type { AlertSummary, UpdateAlert } from '../api/types';
import { useT } from '../i18n';
import { useKeys } from '../lib/keys';
import { ResolveDialog } from '../incidents/resolve';
import { Button } from '../ui/button';
import { useToast } from '../ui/toast';

export function AlertBulk({ alerts, done }: { alerts: AlertSummary[]; done: () => void }) {
  const { t } = useT();
  const me = useMe();
  const toast = useToast();
  const [busy, setBusy] = useState(false);
  const [resolving, setResolving] = useState(false);
  const run = async (change: UpdateAlert) => {
    setBusy(true);
    try {
      for (const alert of alerts) await patch(`/alerts/${alert.id}`, change, alert);
      toast.ok(t('alert.changed', { count: alerts.length }));
      setResolving(false);
      done();
    } catch (error) {
      toast.failed(error);
    } finally {
      setBusy(false);
      await invalidate('/alerts', '/incidents');
    }
  };
  const mine = () => me && void run({ assigned_to: me.user.name });
  useKeys({ e: mine, r: () => setResolving(true) });
  return (
    <>
      <Button compact busy={busy} onClick={mine} data-test="bulk-mine">{t('incident.assignMe')} <kbd aria-hidden>e</kbd></Button>
      <Button compact busy={busy} onClick={() => void run({ status: 'inProgress' })}>{t('incident.start')}</Button>
      <Button compact busy={busy} onClick={() => setResolving(true)} data-test="bulk-resolve">{t('incident.resolveDots')} <kbd aria-hidden>r</kbd></Button>
      <ResolveDialog open={resolving} onClose={() => setResolving(false)} count={alerts.length} busy={busy} onResolve={(resolution) => void run(resolution)} />
    </>
  );
}
