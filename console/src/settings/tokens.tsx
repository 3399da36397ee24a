import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, post, remove } from '../api/client';
import { invalidate, useList } from '../api/queries';
import { roles, type ApiToken, type CreatedApiToken, type Role } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { Button, CopyButton } from '../ui/button';
import { Card, Field, Select } from '../ui/field';
import { Empty, Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

const DAYS = ['30', '90', '365'] as const;

export function Tokens() {
  const { t } = useT();
  const toast = useToast();
  const list = useList<ApiToken>('/tokens');
  const [form, setForm] = useState({ name: '', role: 'viewer' as Role, days: '90' });
  const [created, setCreated] = useState<CreatedApiToken | null>(null);
  const create = useMutation<CreatedApiToken, ApiError>({
    mutationFn: () => post<CreatedApiToken>('/tokens', { name: form.name.trim(), role: form.role, expires_in_days: Number(form.days) }),
    onSuccess: (answer) => { setCreated(answer); setForm({ ...form, name: '' }); },
    onError: toast.failed,
    onSettled: () => invalidate('/tokens'),
  });
  const drop = useMutation<unknown, ApiError, string>({
    mutationFn: (id) => remove(`/tokens/${id}`),
    onSuccess: () => toast.ok(t('tokens.removed')),
    onError: toast.failed,
    onSettled: () => invalidate('/tokens'),
  });
  return (
    <>
      <Card title={t('tokens.title')}>
        <div className="column">
          <p className="secondary">{t('tokens.hint')}</p>
          <form className="row wrapping" style={{ alignItems: 'flex-end' }} onSubmit={(event) => { event.preventDefault(); if (form.name.trim()) create.mutate(); }}>
            <div style={{ flex: '1 1 220px' }}><Field label={t('columns.name')} value={form.name} maxLength={100} onChange={(event) => setForm({ ...form, name: event.target.value })} /></div>
            <Select label={t('columns.role')} value={form.role} onChange={(role) => setForm({ ...form, role: role as Role })} choices={roles.map((role) => ({ value: role, label: t(`role.${role}`) }))} />
            <Select label={t('columns.expires')} value={form.days} onChange={(days) => setForm({ ...form, days })} choices={DAYS.map((one) => ({ value: one, label: t('words.days', { count: Number(one) }) }))} />
            <Button type="submit" variant="primary" why={!form.name.trim() && t('tokens.nameMissing')} busy={create.isPending}>{t('tokens.create')}</Button>
          </form>
          {created ? (
            <div className="column">
              <p className="strong">{t('tokens.copy')}</p>
              <div className="row"><code className="copy grow">{created.secret}</code><CopyButton text={created.secret} label={t('words.copy')} /></div>
              <p className="small secondary">{t('enrol.once')}</p>
            </div>
          ) : null}
        </div>
      </Card>
      <Card flush title={t('settings.sections.tokens')}>
        <Loaded query={{ ...list, data: list.items }}>
          {(items) => items.length === 0 ? <Empty title={t('tokens.none')} /> : (
            <div className="table-scroll">
              <table className="plain">
                <thead><tr><th>{t('columns.name')}</th><th>{t('columns.role')}</th><th>{t('columns.by')}</th><th>{t('settings.lastUsed')}</th><th>{t('columns.expires')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
                <tbody>
                  {items.map((token) => (
                    <tr key={token.id}>
                      <td className="strong">{visible(token.name)}</td><td>{t(`role.${token.role}`)}</td><td>{visible(token.created_by)}</td>
                      <td>{token.last_used ? <Ago at={token.last_used} /> : t('words.never')}</td>
                      <td>{token.expires_at ? <Ago at={token.expires_at} /> : t('words.never')}</td>
                      <td style={{ textAlign: 'right' }}><Button compact variant="danger" onClick={() => drop.mutate(token.id)}>{t('tokens.revoke')}</Button></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Loaded>
      </Card>
    </>
  );
}
