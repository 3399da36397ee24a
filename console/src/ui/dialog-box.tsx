import { X } from 'lucide-react';
import { Dialog as Radix } from 'radix-ui';
import type { FormEvent, ReactNode } from 'react';
import { useT } from '../i18n';
import { Button } from './button';

export interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: string;
  children?: ReactNode;
  /** Words of the confirming button; without it the dialogue has only what the children bring. */
  confirm?: string;
  danger?: boolean;
  busy?: boolean;
  why?: string | false;
  onConfirm?: () => void;
  test?: string;
  /** For dialogues that show tables. */
  wide?: boolean;
}

export default function DialogBox({ open, onClose, title, description, children, confirm, danger, busy, why, onConfirm, test, wide }: DialogProps) {
  const { t } = useT();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    if (!why && !busy) onConfirm?.();
  };
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="scrim" />
        <Radix.Content className={`dialog ${wide ? 'wide' : ''}`} {...(description ? {} : { 'aria-describedby': undefined })}>
          <form onSubmit={submit}>
            <Radix.Title asChild>
              <h2>{title}</h2>
            </Radix.Title>
            {description ? <Radix.Description className="secondary">{description}</Radix.Description> : null}
            {children}
            {confirm ? (
              <div className="buttons">
                <Button onClick={onClose}>{t('words.cancel')}</Button>
                <Button type="submit" variant={danger ? 'danger solid' : 'primary'} busy={busy} why={why} data-test={test}>
                  {confirm}
                </Button>
              </div>
            ) : null}
            <Button variant="quiet" compact icon className="close" onClick={onClose} aria-label={t('words.close')}>
              <X size={16} aria-hidden />
            </Button>
          </form>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
