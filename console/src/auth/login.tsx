import { KeyRound } from 'lucide-react';
import { useState, type FormEvent } from 'react';
import { Navigate, useNavigate, useSearchParams } from '../lib/router';
import { ApiError, get, post } from '../api/client';
import { loginByPasskey, passkeysAvailable } from '../api/passkeys';
import { useGet } from '../api/queries';
import type { Me, Meta } from '../api/types';
import { useT } from '../i18n';
import { Button } from '../ui/button';
import { Field } from '../ui/field';
import { AuthBox } from './box';
import { enter } from './session';

/** Only paths of this console, never another site. */
function safeNext(next: string | null): string {
  return next && next.startsWith('/') && !next.startsWith('//') && !next.startsWith('/\\') ? next : '/';
}

export default function LoginPage() {
  const { t, language } = useT();
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const meta = useGet<Meta>('/meta');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [totp, setTotp] = useState('');
  const [askTotp, setAskTotp] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  if (meta.data?.setup_required) return <Navigate to="/setup" replace />;

  const act = async (login: () => Promise<Me>) => {
    setBusy(true);
    setError(null);
    try {
      enter(await login());
      void navigate(safeNext(params.get('next')), { replace: true });
    } catch (failure) {
      if (failure instanceof ApiError && failure.code === 'totp_required') setAskTotp(true);
      else setError(failure instanceof ApiError ? failure.text(language) : t('auth.passkeyFailed'));
    } finally {
      setBusy(false);
    }
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    void act(() => post<Me>('/auth/login', { name: name.trim(), password, totp: askTotp ? totp.trim() : undefined }));
  };
  const passkey = () =>
    act(async () => {
      await loginByPasskey(name.trim());
      return get<Me>('/auth/me');
    });

  return (
    <AuthBox title={t('auth.login')}>
      <form onSubmit={submit}>
        <Field label={t('auth.name')} name="username" autoComplete="username webauthn" value={name} onChange={(event) => setName(event.target.value)} required autoFocus />
        <Field label={t('auth.password')} name="password" type="password" autoComplete="current-password" value={password}
          onChange={(event) => setPassword(event.target.value)} required error={error} />
        {askTotp ? (
          <Field label={t('auth.totp')} name="totp" inputMode="numeric" autoComplete="one-time-code" value={totp}
            onChange={(event) => setTotp(event.target.value)} hint={t('auth.totpHint')} required autoFocus />
        ) : null}
        <Button type="submit" variant="primary" busy={busy}>{t('auth.login')}</Button>
      </form>
      {passkeysAvailable() ? (
        <>
          <div className="divider">{t('auth.or')}</div>
          <Button onClick={() => void passkey()} busy={busy} why={!name.trim() && t('auth.nameFirst')}>
            <KeyRound size={16} aria-hidden />
            {t('auth.usePasskey')}
          </Button>
        </>
      ) : null}
    </AuthBox>
  );
}
