import { Check, Copy } from 'lucide-react';
import { useState, type ButtonHTMLAttributes, type ReactNode } from 'react';
import { useT } from '../i18n';

interface Props extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'disabled'> {
  variant?: 'primary' | 'danger' | 'danger solid' | 'quiet' | 'text' | '';
  compact?: boolean;
  icon?: boolean;
  busy?: boolean;
  /** Why the button does nothing now; undefined when it works. Shown on hover and read aloud. */
  why?: string | false;
  children: ReactNode;
}

export function Button({ variant = '', compact, icon, busy, why, children, className = '', onClick, title, ...rest }: Props) {
  const blocked = Boolean(why) || busy;
  return (
    <button
      type="button"
      {...rest}
      className={`button ${variant} ${compact ? 'compact' : ''} ${icon ? 'icon' : ''} ${className}`}
      aria-disabled={blocked || undefined}
      aria-busy={busy || undefined}
      title={why || title}
      onClick={(event) => {
        if (blocked) {
          event.preventDefault();
          return;
        }
        onClick?.(event);
      }}
    >
      {children}
      {why ? <span className="hidden-text"> ({why})</span> : null}
    </button>
  );
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useT();
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1_500);
  };
  const words = done ? t('words.copied') : (label ?? t('words.copy'));
  return (
    <Button variant="quiet" compact icon={!label} onClick={() => void copy()} aria-label={words} title={words}>
      {done ? <Check size={15} aria-hidden /> : <Copy size={15} aria-hidden />}
      {label ? words : null}
    </Button>
  );
}
