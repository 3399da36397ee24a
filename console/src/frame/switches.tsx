import { Languages, Monitor, Moon, Sun } from 'lucide-react';
import { useState } from 'react';
import { patch } from '../api/client';
import { useMe } from '../api/queries';
import type { Language } from '../api/types';
import { setLanguage, useT } from '../i18n';
import { Button } from '../ui/button';
import { Menu } from '../ui/menu';

export type Theme = 'system' | 'light' | 'dark';
const STORED = 'hinomi.theme';

function storedTheme(): Theme {
  try {
    const theme = localStorage.getItem(STORED);
    return theme === 'light' || theme === 'dark' ? theme : 'system';
  } catch {
    return 'system';
  }
}

function setTheme(theme: Theme) {
  const root = document.documentElement;
  if (theme === 'system') delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    localStorage.setItem(STORED, theme);
  } catch {
    // storage is switched off: the choice lasts for this visit
  }
}

const LANGUAGES: [Language, string][] = [['en', 'English'], ['ja', '日本語']];

export function LanguageSwitch() {
  const { t } = useT();
  const me = useMe();
  const choose = (language: Language) => {
    void setLanguage(language);
    // mails and notices of the server follow; not being able to save it does not stop the switch
    if (me) void patch('/auth/me', { language }).catch(() => {});
  };
  return (
    <Menu
      label={t('frame.language')}
      trigger={
        <Button variant="quiet" icon aria-label={t('frame.language')} title={t('frame.language')} data-test="language">
          <Languages size={18} aria-hidden />
        </Button>
      }
      items={LANGUAGES.map(([language, label]) => ({ label, onSelect: () => choose(language), test: `language-${language}` }))}
    />
  );
}

const ICONS = { system: Monitor, light: Sun, dark: Moon };

export function ThemeSwitch() {
  const { t } = useT();
  const [theme, setState] = useState<Theme>(storedTheme);
  const Icon = ICONS[theme];
  const choose = (next: Theme) => {
    setTheme(next);
    setState(next);
  };
  return (
    <Menu
      label={t('frame.theme')}
      trigger={
        <Button variant="quiet" icon aria-label={t('frame.theme')} title={t('frame.theme')}>
          <Icon size={18} aria-hidden />
        </Button>
      }
      items={(['system', 'light', 'dark'] as const).map((one) => {
        const One = ICONS[one];
        return { label: t(`frame.themes.${one}`), icon: <One size={15} aria-hidden />, onSelect: () => choose(one) };
      })}
    />
  );
}
