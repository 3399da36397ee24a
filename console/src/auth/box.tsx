import { useEffect, type ReactNode } from 'react';
import { useT } from '../i18n';
import { LanguageSwitch, ThemeSwitch } from '../frame/switches';
import { Logo } from '../ui/icons';
import '../styles/auth.css';

/** The one card of the pages before login. */
export function AuthBox({ title, children, wide }: { title: string; children: ReactNode; wide?: boolean }) {
  const { t } = useT();
  useEffect(() => {
    document.title = `${title} · Hinomi`;
  }, [title]);
  return (
    <main className="login">
      <div className="box" style={wide ? { width: 'min(480px, 100%)' } : undefined}>
        <div className="brand-large">
          <Logo size={36} />
          Hinomi
        </div>
        <div className="card">
          <div className="column" style={{ gap: 14 }}>
            <h1>{title}</h1>
            {children}
          </div>
        </div>
        <div className="foot">
          <LanguageSwitch />
          <ThemeSwitch />
        </div>
        <p className="small secondary" style={{ textAlign: 'center' }}>{t('auth.tagline')}</p>
      </div>
    </main>
  );
}
