import { KeyRound, Smartphone } from 'lucide-react';
import { useState } from 'react';
import { ApiError, post, remove } from '../api/client';
import { passkeysAvailable, registerPasskey } from '../api/passkeys';
import { invalidate, queryClient } from '../api/queries';
import type { Me, TotpStart, User } from '../api/types';
import { useT } from '../i18n';
import { Button, CopyButton } from '../ui/button';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Field } from '../ui/field';
import { useToast } from '../ui/toast';

/** One-time passwords and passkeys of the person who is logged in. */
export function SecondFactor({ user, onChange }: { user: User; onChange: () => void }) {
  const { t, language } = useT();
  const toast = useToast();
  const [start, setStart] = useState<TotpStart | null>(null);
  const [code, setCode] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [naming, setNaming] = useState(false);
  const [keyName, setKeyName] = useState('');
  const [busy, setBusy] = useState(false);
  const [current, setCurrent] = useState(user);
  const shown = user.version >= current.version ? user : current;

  const keep = (me: Me | undefined) => {
    if (me?.user) {
      setCurrent(me.user);
      queryClient.setQueryData(['/auth/me', {}], me);
    }
    void invalidate('/auth/me');
    onChange();
  };
  const run = async (act: () => Promise<Me | undefined | void>, done: () => void) => {
    setBusy(true);
    setError(null);
    try {
      keep((await act()) ?? undefined);
      done();
    } catch (failure) {
      setError(failure instanceof ApiError ? failure.text(language) : t('auth.passkeyFailed'));
    } finally {
      setBusy(false);
    }
  };
  const begin = async () => {
    try {
      setCode('');
      setError(null);
      setStart(await post<TotpStart>('/auth/totp/start', {}));
    } catch (failure) {
      toast.failed(failure);
    }
  };
  return (
    <div className="column">
      <div className="row wrapping">
        <Smartphone size={18} aria-hidden />
        <span className="grow">
          <span className="strong">{t('auth.totp')}</span>{' '}
          {shown.totp ? <Chip tone="ok">{t('auth.on')}</Chip> : <Chip>{t('auth.off')}</Chip>}
        </span>
        <Button compact onClick={() => void begin()} data-test="totp-start">{shown.totp ? t('auth.totpRenew') : t('auth.totpSetUp')}</Button>
      </div>
      <div className="row wrapping">
        <KeyRound size={18} aria-hidden />
        <span className="grow row wrapping">
          <span className="strong">{t('auth.passkeys')}</span>
          {shown.passkeys.map((name) => (
            <Chip key={name} tone="outline">
              {name}
              <button type="button" aria-label={t('auth.passkeyRemove', { name })}
                onClick={() => void run(() => remove<Me>(`/auth/passkeys/${encodeURIComponent(name)}`), () => toast.ok(t('words.saved')))}>
                ×
              </button>
            </Chip>
          ))}
          {shown.passkeys.length === 0 ? <Chip>{t('auth.none')}</Chip> : null}
        </span>
        <Button compact onClick={() => setNaming(true)} why={!passkeysAvailable() && t('auth.passkeyUnavailable')}>{t('auth.passkeyAdd')}</Button>
      </div>
      {error && !start && !naming ? <p role="alert" className="small" style={{ color: 'var(--high)' }}>{error}</p> : null}
      <Dialog open={start !== null} onClose={() => setStart(null)} title={t('auth.totpSetUp')} description={t('auth.totpScan')}
        confirm={t('auth.confirm')} busy={busy} why={code.trim().length < 6 && t('auth.codeMissing')}
        onConfirm={() => void run(() => post<Me>('/auth/totp/finish', { code: code.trim() }), () => setStart(null))} test="totp-finish">
        {start ? (
          <>
            <div className="row">
              <code className="copy grow" data-test="totp-secret">{start.secret}</code>
              <CopyButton text={start.secret} />
            </div>
            <a href={start.otpauth_url}>{t('auth.totpOpen')}</a>
            <Field label={t('auth.totpCode')} inputMode="numeric" autoComplete="one-time-code" value={code} error={error}
              onChange={(event) => setCode(event.target.value)} />
          </>
        ) : null}
      </Dialog>
      <Dialog open={naming} onClose={() => setNaming(false)} title={t('auth.passkeyAdd')} description={t('auth.passkeyHint')}
        confirm={t('auth.passkeyAdd')} busy={busy} why={!keyName.trim() && t('auth.passkeyNameMissing')}
        onConfirm={() => void run(() => registerPasskey(keyName.trim()), () => setNaming(false))}>
        <Field label={t('auth.passkeyName')} value={keyName} onChange={(event) => setKeyName(event.target.value)} error={error} maxLength={60} />
      </Dialog>
    </div>
  );
}
