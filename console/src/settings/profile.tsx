import { useState } from 'react';
import { useMutation } from '@tanstack/react-query';
import { ApiError, patch, remove } from '../api/client';
import { invalidate, useGet, useMe } from '../api/queries';
import type { Listed, Me, SessionInfo } from '../api/types';
import { useT } from '../i18n';
import { visible } from '../lib/entity';
import { SecondFactor } from '../auth/second-factor';
import { PASSWORD_MIN } from '../auth/setup';
import { Button } from '../ui/button';
import { Chip } from '../ui/chips';
import { Card, Facts, Field } from '../ui/field';
import { Loaded } from '../ui/states';
import { Ago, Time } from '../ui/time';
import { useToast } from '../ui/toast';

export function Profile() {
  const { t } = useT();
  const me = useMe();
  if (!me) return null;
  return (
    <>
      <Card title={t('settings.sections.profile')}>
        <Facts rows={[
          [t('auth.name'), visible(me.user.name)], [t('columns.role'), t(`role.${me.user.role}`)], [t('settings.mail'), visible(me.user.mail ?? '') || '—'],
          [t('settings.lastLogin'), me.user.last_login ? <Time key="l" at={me.user.last_login} /> : '—'],
        ]} />
      </Card>
      <Card title={t('settings.secondFactor')}>
        <p className="secondary" style={{ marginBottom: 12 }}>{t('settings.secondFactorHint')}</p>
        <SecondFactor user={me.user} onChange={() => {}} />
      </Card>
      <Password />
    </>
  );
}

function Password() {
  const { t, language } = useT();
  const toast = useToast();
  const [form, setForm] = useState({ current: '', next: '', again: '' });
  const change = useMutation<Me, ApiError>({
    mutationFn: () => patch<Me>('/auth/me', { current_password: form.current, password: form.next }),
    onSuccess: () => { toast.ok(t('settings.passwordChanged')); setForm({ current: '', next: '', again: '' }); void invalidate('/auth/me', '/auth/sessions'); },
  });
  const why = !form.current || !form.next ? t('settings.fillAll') : form.next.length < PASSWORD_MIN ? t('setup.passwordShort', { count: PASSWORD_MIN }) : form.next !== form.again && t('setup.passwordDiffers');
  return (
    <Card title={t('settings.password')}>
      <form className="column" style={{ maxWidth: 380 }} onSubmit={(event) => { event.preventDefault(); if (!why) change.mutate(); }}>
        <input type="text" name="username" autoComplete="username" hidden readOnly value="" />
        <Field label={t('settings.currentPassword')} type="password" autoComplete="current-password" value={form.current} error={change.error?.text(language)} onChange={(event) => setForm({ ...form, current: event.target.value })} />
        <Field label={t('settings.newPassword')} type="password" autoComplete="new-password" hint={t('setup.passwordHint', { count: PASSWORD_MIN })} value={form.next} onChange={(event) => setForm({ ...form, next: event.target.value })} />
        <Field label={t('setup.again')} type="password" autoComplete="new-password" value={form.again} onChange={(event) => setForm({ ...form, again: event.target.value })} />
        <div><Button type="submit" why={why} busy={change.isPending}>{t('settings.changePassword')}</Button></div>
      </form>
    </Card>
  );
}

export function Sessions() {
  const { t } = useT();
  const toast = useToast();
  const sessions = useGet<Listed<SessionInfo>>('/auth/sessions');
  const end = useMutation<unknown, ApiError, string | null>({
    mutationFn: (id) => (id ? remove(`/auth/sessions/${id}`) : remove('/auth/sessions')),
    onSuccess: () => toast.ok(t('settings.sessionEnded')),
    onError: toast.failed,
    onSettled: () => invalidate('/auth/sessions', '/auth/me'),
  });
  return (
    <Card flush title={t('settings.sections.sessions')} head={<Button compact onClick={() => end.mutate(null)} busy={end.isPending}>{t('settings.endOthers')}</Button>}>
      <Loaded query={sessions}>
        {({ items }) => (
          <div className="table-scroll">
            <table className="plain">
              <thead><tr><th>{t('settings.browser')}</th><th>{t('columns.address')}</th><th>{t('settings.lastUsed')}</th><th>{t('columns.expires')}</th><th><span className="hidden-text">{t('columns.action')}</span></th></tr></thead>
              <tbody>
                {items.map((session) => (
                  <tr key={session.id}>
                    <td className="wrap">{visible(session.user_agent)} {session.current ? <Chip tone="ok">{t('settings.thisSession')}</Chip> : null}</td>
                    <td>{visible(session.address)}</td>
                    <td><Ago at={session.last_used} /></td>
                    <td><Ago at={session.expires_at} /></td>
                    <td style={{ textAlign: 'right' }}>{session.current ? null : <Button compact onClick={() => end.mutate(session.id)}>{t('settings.end')}</Button>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Card>
  );
}
