// Ordering an action: what will happen, why, then run at once or leave for another person.
import { createContext, useCallback, useContext, useState, type ReactNode } from 'react';
import { useCan, useOrder } from '../api/queries';
import type { ActionSpec } from '../api/types';
import { useT } from '../i18n';
import { Dialog } from '../ui/dialog';
import { TextArea } from '../ui/field';
import { useToast } from '../ui/toast';
import { WouldMatch } from '../indicators/decide';
import { undoable, useDescribe } from './describe';

interface Ask { spec: ActionSpec; incident?: string | null; reason?: string }

const OrderContext = createContext<(ask: Ask) => void>(() => {});

/** Opens the dialogue that orders one action. */
export const useAsk = () => useContext(OrderContext);

const DANGEROUS: ReadonlySet<ActionSpec['kind']> = new Set([
  'soft_delete_messages', 'hard_delete_messages', 'quarantine_messages', 'stop_process_tree', 'quarantine_file', 'isolate_device',
]);

export function OrderProvider({ children }: { children: ReactNode }) {
  const { t } = useT();
  const [ask, setAsk] = useState<Ask | null>(null);
  const [reason, setReason] = useState('');
  const [lease, setLease] = useState('86400');
  const describe = useDescribe();
  const order = useOrder();
  const toast = useToast();
  const may = useCan('act');

  const open = useCallback((next: Ask) => {
    setReason(next.reason ?? '');
    setAsk(next);
  }, []);
  const close = () => setAsk(null);

  const confirm = () => {
    if (!ask) return;
    const spec = ask.spec.kind === 'isolate_device' ? { ...ask.spec, lease_seconds: Number(lease) } : ask.spec;
    order.mutate(
      { spec, reason: reason.trim(), incident_id: ask.incident ?? undefined },
      {
        onSuccess: () => {
          toast.ok(t('actions.ordered', { what: describe(spec).title }));
          close();
        },
        onError: toast.failed,
      },
    );
  };

  const told = ask ? describe(ask.spec) : null;
  return (
    <OrderContext.Provider value={open}>
      {children}
      <Dialog
        open={ask !== null}
        onClose={close}
        title={told?.title ?? ''}
        description={told?.target}
        confirm={told?.title}
        danger={ask ? DANGEROUS.has(ask.spec.kind) : false}
        busy={order.isPending}
        why={!may ? t('states.needRole', { role: t('role.responder') }) : !reason.trim() && t('actions.reasonMissing')}
        onConfirm={confirm}
        test="order-confirm"
      >
        {ask ? <Effects spec={ask.spec} /> : null}
        {ask?.spec.kind === 'isolate_device' ? (
          <fieldset className="field" style={{ border: 0, margin: 0, padding: 0 }}>
            <legend className="label strong small">{t('device.autoRelease')}</legend>
            <div className="row wrapping">
              {(['14400', '86400', '259200', '604800'] as const).map((seconds) => (
                <label key={seconds} className="row">
                  <input type="radio" name="lease" value={seconds} checked={lease === seconds} onChange={() => setLease(seconds)} />
                  {t(`device.lease.s${seconds}`)}
                </label>
              ))}
            </div>
          </fieldset>
        ) : null}
        <TextArea label={t('actions.reason')} value={reason} onChange={setReason} placeholder={t('actions.reasonHint')} required />
      </Dialog>
    </OrderContext.Provider>
  );
}

function Effects({ spec }: { spec: ActionSpec }) {
  const { t } = useT();
  return (
    <div className="column" style={{ gap: 6 }}>
      <p>{t(`actionEffect.${spec.kind}`)}</p>
      {spec.kind === 'add_indicator' ? <WouldMatch spec={spec.indicator} /> : null}
      <p className="small secondary">{undoable.has(spec.kind) ? t('actions.canUndo') : t('actions.cannotUndo')}</p>
    </div>
  );
}
