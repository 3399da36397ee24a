// A list of indicators: chosen or pasted, looked at, taken in; what a list added can be taken out again.
import { useMutation } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { ApiError, post, remove } from '../api/client';
import { invalidate, useList } from '../api/queries';
import { indicatorActions, type IndicatorAction, type IndicatorImport, type NewIndicatorImport } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { EVERYWHERE, ScopeFields, scopeOf } from './scope';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Field, Select, TextArea } from '../ui/field';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

const DAYS = ['30', '90', '365', ''] as const;
const BYTES_MAX = 30 * 1024 * 1024;
const FAMILIES = ['/indicators', '/indicators/imports'] as const;

export function ImportIndicators({ onClose }: { onClose: () => void }) {
  const { t } = useT();
  const toast = useToast();
  const file = useId();
  const [form, setForm] = useState({ name: '', text: '', action: 'audit' as IndicatorAction, days: '90', replace: false, scope: EVERYWHERE });
  const [seen, setSeen] = useState<IndicatorImport | null>(null);
  const change = (next: Partial<typeof form>) => { setForm({ ...form, ...next }); setSeen(null); };
  const send = useMutation<IndicatorImport, ApiError, boolean>({
    mutationFn: (dry_run) => post<IndicatorImport>('/indicators/imports', {
      name: form.name.trim(), text: form.text, action: form.action, replace: form.replace, dry_run, scope: scopeOf(form.scope),
      expires_at: form.days ? new Date(Date.now() + Number(form.days) * 86_400_000).toISOString() : null,
    } satisfies NewIndicatorImport),
    onSuccess: (answer) => {
      if (answer.dry_run) return setSeen(answer);
      toast.ok(t('indicator.imported', { count: answer.added + answer.changed }));
      invalidate(...FAMILIES);
      onClose();
    },
    onError: toast.failed,
  });
  const read = async (chosen: File | undefined) => {
    if (!chosen) return;
    if (chosen.size > BYTES_MAX) return toast.failed(new Error(t('indicator.tooLarge')));
    change({ text: await chosen.text(), name: form.name || chosen.name.slice(0, 120) });
  };
  const missing = !form.name.trim() ? t('tokens.nameMissing') : !form.text.trim() && t('indicator.textMissing');
  return (
    <Dialog open wide onClose={onClose} title={t('indicator.import')} description={t('indicator.importHint')} busy={send.isPending}
      confirm={seen ? t('indicator.takeIn', { count: seen.added + seen.changed }) : t('indicator.look')} why={missing || (seen ? seen.added + seen.changed === 0 && t('indicator.nothingNew') : false)}
      test="indicator-import" onConfirm={() => send.mutate(!seen)}>
      <Field label={t('columns.name')} value={form.name} maxLength={120} onChange={(event) => change({ name: event.target.value })} />
      <div className="field">
        <label htmlFor={file}>{t('indicator.file')}</label>
        <input id={file} type="file" className="input" accept=".csv,.txt,.json,text/*,application/json" onChange={(event) => void read(event.target.files?.[0])} />
      </div>
      {form.text.length <= 30_000 ? <TextArea label={t('indicator.text')} value={form.text} onChange={(text) => change({ text })} /> : null}
      <div className="row wrapping">
        <Select label={t('columns.action')} value={form.action} onChange={(action) => change({ action: action as IndicatorAction })}
          choices={indicatorActions.map((one) => ({ value: one, label: t(`indicatorState.${one}`) }))} />
        <Select label={t('columns.expires')} value={form.days} onChange={(days) => change({ days })}
          choices={DAYS.map((one) => ({ value: one, label: one ? t('words.days', { count: Number(one) }) : t('words.never') }))} />
        <label className="row"><input type="checkbox" checked={form.replace} onChange={(event) => change({ replace: event.target.checked })} />{t('indicator.replace')}</label>
      </div>
      <ScopeFields scope={form.scope} onChange={(scope) => change({ scope })} />
      {seen ? <Seen seen={seen} /> : null}
    </Dialog>
  );
}

function Seen({ seen }: { seen: IndicatorImport }) {
  const { t, text } = useT();
  return (
    <div className="column" role="status" data-test="indicator-dry-run">
      <p className="strong">{t('indicator.counts', { added: seen.added, changed: seen.changed, unchanged: seen.unchanged, refused: seen.refused_count })}</p>
      {seen.refused.length ? (
        <div className="table-scroll" style={{ maxHeight: '220px' }}>
          <table className="plain">
            <thead><tr><th>{t('indicator.place')}</th><th>{t('columns.value')}</th><th>{t('indicator.whyNot')}</th></tr></thead>
            <tbody>
              {seen.refused.slice(0, 50).map((one, at) => (
                <tr key={at}><td>{visible(one.place)}</td><td className="mono">{visible(one.value)}</td><td>{text(one.reason)}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </div>
  );
}

/** The lists that were taken in, newest first. */
export function Imports({ why, onClose }: { why: string | false; onClose: () => void }) {
  const { t } = useT();
  const toast = useToast();
  const list = useList<IndicatorImport>('/indicators/imports');
  const drop = useMutation<unknown, ApiError, string>({
    mutationFn: (id) => remove(`/indicators/imports/${id}`),
    onSuccess: () => toast.ok(t('indicator.takenOut')),
    onError: toast.failed,
    onSettled: () => invalidate(...FAMILIES),
  });
  return (
    <Dialog open wide onClose={onClose} title={t('indicator.imports')} description={t('indicator.importsHint')}>
      <Loaded query={{ ...list, data: list.items }}>
        {(items) => items.length === 0 ? <p className="secondary">{t('indicator.noImports')}</p> : (
          <div className="table-scroll">
            <table className="plain">
              <thead><tr><th>{t('columns.name')}</th><th>{t('columns.time')}</th><th>{t('indicator.result')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
              <tbody>
                {items.map((one) => (
                  <tr key={one.id}>
                    <td><span className="strong">{visible(one.name)}</span><br /><span className="small secondary">{visible(one.by)}</span></td><td><Ago at={one.at} /></td>
                    <td>{t('indicator.counts', { added: one.added, changed: one.changed, unchanged: one.unchanged, refused: one.refused_count })}</td>
                    <td style={{ textAlign: 'right' }}>
                      {one.removed_at ? t('indicator.takenOut') : <Button compact variant="danger" why={why} busy={drop.isPending} onClick={() => drop.mutate(one.id)}>{t('indicator.takeOut')}</Button>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Dialog>
  );
}
