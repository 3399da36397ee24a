import { Plus } from 'lucide-react';
import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, patch, post } from '../api/client';
import { invalidate, useList, useMe } from '../api/queries';
import { roles, type Language, type Role, type User } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { PASSWORD_MIN } from '../auth/setup';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Card, Field, Select } from '../ui/field';
import { Loaded } from '../ui/states';
import { Ago } from '../ui/time';
import { useToast } from '../ui/toast';

export function Users() {
  const { t } = useT();
  const toast = useToast();
  const me = useMe();
  const list = useList<User>('/users');
  const [adding, setAdding] = useState(false);
  const change = useMutation<User, ApiError, { user: User; body: object }>({
    mutationFn: ({ user, body }) => patch<User>(`/users/${user.id}`, body, user),
    onSuccess: () => toast.ok(t('words.saved')),
    onError: toast.failed,
    onSettled: () => invalidate('/users'),
  });
  return (
    <Card flush title={t('settings.sections.users')} head={<Button compact variant="primary" onClick={() => setAdding(true)}><Plus size={14} aria-hidden />{t('users.add')}</Button>}>
      <Loaded query={{ ...list, data: list.items }}>
        {(items) => (
          <div className="table-scroll">
            <table className="plain">
              <thead><tr><th>{t('auth.name')}</th><th>{t('columns.role')}</th><th>{t('settings.mail')}</th><th>{t('settings.secondFactor')}</th><th>{t('settings.lastLogin')}</th><th>{t('columns.status')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
              <tbody>
                {items.map((user) => {
                  const self = user.id === me?.user.id;
                  return (
                    <tr key={user.id}>
                      <td className="strong">{visible(user.name)}</td>
                      <td>
                        {self ? t(`role.${user.role}`) : (
                          <Select shown={false} label={t('users.roleOf', { name: user.name })} value={user.role} onChange={(role) => change.mutate({ user, body: { role } })}
                            choices={roles.map((role) => ({ value: role, label: t(`role.${role}`) }))} />
                        )}
                      </td>
                      <td>{visible(user.mail ?? '') || '—'}</td>
                      <td><span className="row wrapping">{user.totp ? <Chip tone="ok">TOTP</Chip> : null}{user.passkeys.length ? <Chip tone="ok">{t('auth.passkeys')} {user.passkeys.length}</Chip> : null}{!user.totp && !user.passkeys.length ? <Chip tone="medium">{t('auth.none')}</Chip> : null}</span></td>
                      <td>{user.last_login ? <Ago at={user.last_login} /> : t('words.never')}</td>
                      <td>{user.disabled ? <Chip>{t('users.disabled')}</Chip> : <Chip tone="ok">{t('users.active')}</Chip>}</td>
                      <td style={{ textAlign: 'right' }}><Button compact why={self && t('users.notSelf')} onClick={() => change.mutate({ user, body: { disabled: !user.disabled } })}>{user.disabled ? t('users.enable') : t('users.disable')}</Button></td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      {adding ? <AddUser onClose={() => setAdding(false)} /> : null}
    </Card>
  );
}

function AddUser({ onClose }: { onClose: () => void }) {
  const { t, language } = useT();
  const toast = useToast();
  const [form, setForm] = useState({ name: '', mail: '', password: '', role: 'responder' as Role, language: language as Language });
  const add = useMutation<User, ApiError>({
    mutationFn: () => post<User>('/users', { ...form, name: form.name.trim(), mail: form.mail.trim() || null }),
    onSuccess: () => { toast.ok(t('users.added')); onClose(); },
    onSettled: () => invalidate('/users'),
  });
  const field = add.error?.problem.field;
  const words = add.error?.text(language);
  return (
    <Dialog open onClose={onClose} title={t('users.add')} confirm={t('users.add')} busy={add.isPending} onConfirm={() => add.mutate()}
      why={!form.name.trim() ? t('users.nameMissing') : form.password.length < PASSWORD_MIN && t('setup.passwordShort', { count: PASSWORD_MIN })}>
      <Field label={t('auth.name')} value={form.name} autoComplete="off" error={field !== 'password' && field !== 'mail' ? words : null} onChange={(event) => setForm({ ...form, name: event.target.value })} />
      <Field label={t('settings.mail')} type="email" value={form.mail} autoComplete="off" error={field === 'mail' ? words : null} onChange={(event) => setForm({ ...form, mail: event.target.value })} />
      <Field label={t('auth.password')} type="password" value={form.password} autoComplete="new-password" hint={t('setup.passwordHint', { count: PASSWORD_MIN })} error={field === 'password' ? words : null} onChange={(event) => setForm({ ...form, password: event.target.value })} />
      <Select label={t('columns.role')} value={form.role} onChange={(role) => setForm({ ...form, role: role as Role })} choices={roles.map((role) => ({ value: role, label: `${t(`role.${role}`)} — ${t(`roleHint.${role}`)}` }))} />
      <Select label={t('frame.language')} value={form.language} onChange={(next) => setForm({ ...form, language: next as Language })} choices={[{ value: 'en', label: 'English' }, { value: 'ja', label: '日本語' }]} />
    </Dialog>
  );
}
