import { useState, type FormEvent } from 'react';
import { Navigate, useNavigate } from '../lib/router';
import { ApiError, post } from '../api/client';
import { useGet } from '../api/queries';
import type { Me, Meta } from '../api/types';
import { useT } from '../i18n';
import { Button } from '../ui/button';
import { Field } from '../ui/field';
import { AuthBox } from './box';
import { enter } from './session';
import { SecondFactor } from './second-factor';

export const PASSWORD_MIN = 12;

export default function SetupPage() {
  const { t, language } = useT();
  const navigate = useNavigate();
  const meta = useGet<Meta>('/meta');
  const [form, setForm] = useState({ code: '', name: 'admin', password: '', again: '' });
  const [error, setError] = useState<{ field?: string | null; text: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const [me, setMe] = useState<Me | null>(null);

  if (!me && meta.data && !meta.data.setup_required) return <Navigate to="/login" replace />;
  if (me) {
    return (
      <AuthBox title={t('setup.protect')} wide>
        <p className="secondary">{t('setup.protectHint')}</p>
        <SecondFactor user={me.user} onChange={() => {}} />
        <Button variant="primary" onClick={() => void navigate('/settings/enrolment', { replace: true })} data-test="setup-done">
          {t('setup.toFirstDevice')}
        </Button>
      </AuthBox>
    );
  }

  const set = (field: keyof typeof form) => (event: { target: { value: string } }) => setForm({ ...form, [field]: event.target.value });
  const of = (field: string) => (error?.field === field ? error.text : null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (form.password.length < PASSWORD_MIN) return setError({ field: 'password', text: t('setup.passwordShort', { count: PASSWORD_MIN }) });
    if (form.password !== form.again) return setError({ field: 'again', text: t('setup.passwordDiffers') });
    setBusy(true);
    setError(null);
    try {
      const answer = await post<Me>('/auth/setup', {
        code: form.code.trim(), name: form.name.trim(), password: form.password, language,
      });
      enter(answer);
      setMe(answer);
    } catch (failure) {
      if (failure instanceof ApiError) {
        const known = ['code', 'name', 'password'].includes(failure.problem.field ?? '');
        setError({ field: known ? failure.problem.field : 'code', text: failure.text(language) });
      }
    } finally {
      setBusy(false);
    }
  };
  return (
    <AuthBox title={t('setup.title')} wide>
      <p className="secondary">{t('setup.hint')}</p>
      <form onSubmit={(event) => void submit(event)}>
        <Field label={t('setup.code')} name="code" value={form.code} onChange={set('code')} hint={t('setup.codeHint')} error={of('code')}
          autoComplete="off" className="input mono" required autoFocus />
        <Field label={t('auth.name')} name="username" value={form.name} onChange={set('name')} autoComplete="username" error={of('name')} required />
        <Field label={t('auth.password')} name="password" type="password" value={form.password} onChange={set('password')}
          autoComplete="new-password" hint={t('setup.passwordHint', { count: PASSWORD_MIN })} error={of('password')} required />
        <Field label={t('setup.again')} name="again" type="password" value={form.again} onChange={set('again')} autoComplete="new-password"
          error={of('again')} required />
        <Button type="submit" variant="primary" busy={busy}>{t('setup.create')}</Button>
      </form>
    </AuthBox>
  );
}
