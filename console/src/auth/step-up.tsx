import { KeyRound } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { ApiError, post, setStepUp, type Proof } from '../api/client';
import { passkeysAvailable, stepUpByPasskey } from '../api/passkeys';
import { invalidate } from '../api/queries';
import type { Me } from '../api/types';
import { useT } from '../i18n';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Field } from '../ui/field';

/** Opens when the server wants the person proved again; the refused request is then repeated. */
export function StepUpDialog({ me }: { me: Me }) {
  const { t, language } = useT();
  const [wanted, setWanted] = useState<Proof>('factor');
  const [open, setOpen] = useState(false);
  const [code, setCode] = useState('');
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const answer = useRef<(proved: boolean) => void>(() => {});

  useEffect(() => {
    setStepUp(
      (proof) =>
        new Promise<boolean>((resolve) => {
          answer.current = resolve;
          setCode('');
          setError(null);
          setWanted(proof);
          setOpen(true);
        }),
    );
  }, []);

  const finish = (proved: boolean) => {
    setOpen(false);
    answer.current(proved);
    if (proved) void invalidate('/auth/me');
  };

  const prove = async (by: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await by();
      finish(true);
    } catch (failure) {
      setError(failure instanceof ApiError ? failure.text(language) : t('auth.passkeyFailed'));
    } finally {
      setBusy(false);
    }
  };

  if (wanted === 'password') {
    return (
      <Dialog open={open} onClose={() => finish(false)} title={t('auth.stepUp')} description={t('auth.passwordAgain')} confirm={t('auth.confirm')}
        busy={busy} why={!code && t('auth.passwordMissing')} onConfirm={() => void prove(() => post('/auth/confirm-password', { password: code }))}
        test="step-up-confirm">
        <input type="text" name="username" autoComplete="username" hidden readOnly value={me.user.name} />
        <Field label={t('auth.password')} type="password" value={code} onChange={(event) => setCode(event.target.value)}
          autoComplete="current-password" error={error} autoFocus />
      </Dialog>
    );
  }
  const factor = me.user.totp || me.user.passkeys.length > 0;
  return (
    <Dialog
      open={open}
      onClose={() => finish(false)}
      title={t('auth.stepUp')}
      description={factor ? t('auth.stepUpHint') : t('auth.stepUpNone')}
      confirm={me.user.totp ? t('auth.confirm') : undefined}
      busy={busy}
      why={code.trim().length < 6 && t('auth.codeMissing')}
      onConfirm={() => void prove(() => post('/auth/step-up/totp', { code: code.trim() }))}
      test="step-up-confirm"
    >
      {me.user.totp ? (
        <Field label={t('auth.totp')} value={code} onChange={(event) => setCode(event.target.value)} inputMode="numeric"
          autoComplete="one-time-code" error={error} autoFocus />
      ) : error ? (
        <p role="alert">{error}</p>
      ) : null}
      {me.user.passkeys.length > 0 && passkeysAvailable() ? (
        <Button onClick={() => void prove(stepUpByPasskey)} busy={busy}>
          <KeyRound size={15} aria-hidden />
          {t('auth.usePasskey')}
        </Button>
      ) : null}
    </Dialog>
  );
}
