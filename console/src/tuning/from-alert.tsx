// One click from an alert to a tuning rule for alerts like it; what a rule did to the alert.
import { SlidersHorizontal, VolumeX } from 'lucide-react';
import { useState } from 'react';
import { useCan, useGet } from '../api/queries';
import type { AlertDetail, NewTuningRule } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Link } from '../lib/router';
import { Button } from '../ui/button';
import { TuningEditor } from './editor';

export function TuneAlert({ alert }: { alert: AlertDetail }) {
  const { t } = useT();
  const may = useCan('act');
  const [open, setOpen] = useState(false);
  const draft = useGet<NewTuningRule>(open ? `/alerts/${alert.id}/tuning` : null);
  return (
    <>
      <Button why={!may && t('states.needRole', { role: t('role.responder') })} busy={open && draft.isPending} data-test="tune" onClick={() => setOpen(true)}>
        <SlidersHorizontal size={15} aria-hidden />{t('tuning.tune')}
      </Button>
      {open && draft.data ? <TuningEditor rule={null} begin={draft.data} onClose={() => setOpen(false)} /> : null}
    </>
  );
}

/** Says that a rule hid, resolved or lowered the alert. */
export function TunedLine({ alert }: { alert: AlertDetail }) {
  const { t } = useT();
  if (!alert.tuned) return null;
  return (
    <p className="banner" data-test="tuned">
      <VolumeX size={16} aria-hidden />
      <span className="grow">{t(`tuning.did.${alert.tuned.action}`, { title: visible(alert.tuned.title), severity: t(`severity.${alert.tuned.severity}`) })}</span>
      <Link to="/tuning">{t('nav.tuning')}</Link>
    </p>
  );
}
