import {
  Bell, FileSearch, FolderClock, House, Laptop, ListChecks, Mail, Menu as MenuIcon, PanelLeftClose, PanelLeftOpen, ScrollText,
  Search, Settings, ShieldAlert, ShieldBan, SlidersHorizontal, UserRound, CircleHelp, LogOut, type LucideIcon,
} from 'lucide-react';
import { useEffect, useRef, useState, type FormEvent, type ReactNode } from 'react';
import { Link, NavLink, useLocation, useNavigate } from '../lib/router';
import { post } from '../api/client';
import { useLiveState } from '../api/live';
import { queryClient, useCan, useGet, useMe } from '../api/queries';
import type { Action, Listed } from '../api/types';
import { useT } from '../i18n';
import { setLetters, lettersOn, useKeys } from '../lib/keys';
import { pageOfText } from '../lib/entity';
import { Button } from '../ui/button';
import { Dialog } from '../ui/dialog';
import { Logo } from '../ui/icons';
import { Menu } from '../ui/menu';
import { useLate } from '../ui/states';
import { LanguageSwitch, ThemeSwitch } from './switches';

type NavKey = 'home' | 'incidents' | 'alerts' | 'devices' | 'mail' | 'investigations' | 'actions' | 'indicators' | 'tuning' | 'audit' | 'settings';

const PAGES: [NavKey, string, LucideIcon][] = [
  ['home', '/', House],
  ['incidents', '/incidents', ShieldAlert],
  ['alerts', '/alerts', Bell],
  ['devices', '/devices', Laptop],
  ['mail', '/mail', Mail],
  ['investigations', '/investigations', FileSearch],
  ['actions', '/actions', ListChecks],
  ['indicators', '/indicators', ShieldBan],
  ['tuning', '/tuning', SlidersHorizontal],
  ['audit', '/audit', ScrollText],
  ['settings', '/settings', Settings],
];

export function Frame({ children }: { children: ReactNode }) {
  const { t } = useT();
  const [folded, setFolded] = useState(false);
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const navigate = useNavigate();
  const location = useLocation();
  const content = useRef<HTMLElement>(null);
  const mayAudit = useCan('audit');

  useEffect(() => {
    setMenu(false);
    content.current?.scrollTo({ top: 0 });
  }, [location.pathname]);

  const go = (path: string) => () => void navigate(path);
  useKeys({
    '/': () => search.current?.focus(),
    '?': () => setHelp(true),
    '[': () => setFolded((now) => !now),
    'g o': go('/'), 'g i': go('/incidents'), 'g a': go('/alerts'), 'g d': go('/devices'), 'g m': go('/mail'),
    'g v': go('/investigations'), 'g c': go('/actions'), 'g b': go('/indicators'), 'g s': go('/settings'),
  });

  return (
    <div className="frame" data-folded={folded} data-menu={menu}>
      <a href="#content" className="skip">{t('frame.skip')}</a>
      <header className="topbar">
        <Button variant="quiet" icon className="menu-button" aria-label={t('frame.menu')} aria-expanded={menu} onClick={() => setMenu(!menu)}>
          <MenuIcon size={18} aria-hidden />
        </Button>
        <Link to="/" className="brand" aria-label="Hinomi">
          <Logo />
          <span>Hinomi</span>
        </Link>
        <SearchBox inputRef={search} />
        <div className="end">
          <LivePill />
          <LanguageSwitch />
          <ThemeSwitch />
          <Button variant="quiet" icon className="hide-phone" aria-label={t('frame.keys')} title={`${t('frame.keys')} (?)`} onClick={() => setHelp(true)}>
            <CircleHelp size={18} aria-hidden />
          </Button>
          <UserMenu />
        </div>
      </header>
      <nav className="navigation" aria-label={t('frame.navigation')}>
        {PAGES.filter(([key]) => key !== 'audit' || mayAudit).map(([key, path, Icon]) => (
          <NavItem key={key} name={key} path={path} Icon={Icon} />
        ))}
        <button type="button" className="fold" onClick={() => setFolded(!folded)} aria-label={folded ? t('frame.unfold') : t('frame.fold')}>
          {folded ? <PanelLeftOpen size={18} aria-hidden /> : <PanelLeftClose size={18} aria-hidden />}
          <span>{t('frame.fold')}</span>
        </button>
      </nav>
      <main className="content" id="content" ref={content} tabIndex={-1}>
        {children}
      </main>
      <KeyHelp open={help} onClose={() => setHelp(false)} />
    </div>
  );
}

function NavItem({ name, path, Icon }: { name: NavKey; path: string; Icon: LucideIcon }) {
  const { t } = useT();
  const actions = useGet<Listed<Action>>(name === 'actions' ? '/actions' : null, { state: 'pendingApproval', limit: 1 });
  const count = name === 'actions' ? (actions.data?.total ?? 0) : 0;
  return (
    <>
      {name === 'actions' || name === 'audit' ? <div className="gap" /> : null}
      <NavLink to={path} end={path === '/'} title={t(`nav.${name}`)}>
        <Icon size={18} aria-hidden />
        <span>{t(`nav.${name}`)}</span>
        {count > 0 ? <b className="count">{count}</b> : null}
      </NavLink>
    </>
  );
}

function LivePill() {
  const { t } = useT();
  const state = useLiveState();
  // a short loss is not worth an alarm
  const lost = useLate(state === 'reconnecting', 2_000);
  const shown = state === 'reconnecting' && !lost ? 'live' : state;
  return (
    <span className="live" data-state={shown} role="status" title={t(`live.${shown}Hint`)}>
      <span>{t(`live.${shown}`)}</span>
    </span>
  );
}

function SearchBox({ inputRef }: { inputRef: React.Ref<HTMLInputElement> }) {
  const { t } = useT();
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const query = text.trim();
    if (!query) return;
    navigate(pageOfText(query));
  };
  return (
    <form className="search" role="search" onSubmit={submit}>
      <Search size={15} aria-hidden />
      <input ref={inputRef} className="input" type="search" value={text} onChange={(event) => setText(event.target.value)}
        placeholder={t('frame.search')} aria-label={t('frame.search')} onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()} />
      <kbd aria-hidden>/</kbd>
    </form>
  );
}

function UserMenu() {
  const { t } = useT();
  const me = useMe();
  const navigate = useNavigate();
  const leave = async () => {
    await post('/auth/logout').catch(() => {});
    queryClient.clear();
    void navigate('/login');
  };
  if (!me) return null;
  return (
    <Menu
      label={`${me.user.name} · ${t(`role.${me.user.role}`)}`}
      trigger={
        <Button variant="quiet" aria-label={t('frame.account', { name: me.user.name })}>
          <UserRound size={18} aria-hidden />
          <span className="hide-phone">{me.user.name}</span>
        </Button>
      }
      items={[
        { label: t('settings.sections.profile'), icon: <UserRound size={15} aria-hidden />, to: '/settings/profile' },
        { label: t('settings.sections.sessions'), icon: <FolderClock size={15} aria-hidden />, to: '/settings/sessions' },
        'line',
        { label: t('frame.logout'), icon: <LogOut size={15} aria-hidden />, onSelect: () => void leave() },
      ]}
    />
  );
}

const KEYS = ['/', '?', '[', 'g o', 'g i', 'g a', 'g d', 'g m', 'g v', 'g c', 'j', 'k', 'Enter', 'x', 'e', 'r', 'Esc'] as const;

function KeyHelp({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useT();
  const [on, setOn] = useState(lettersOn);
  return (
    <Dialog open={open} onClose={onClose} title={t('frame.keys')} description={t('frame.keysHint')}>
      <dl className="facts">
        {KEYS.map((key) => (
          <div key={key} style={{ display: 'contents' }}>
            <dt>{key.split(' ').map((one) => <kbd key={one} style={{ marginRight: 4 }}>{one}</kbd>)}</dt>
            <dd>{t(`keys.${key}`)}</dd>
          </div>
        ))}
      </dl>
      <label className="row">
        <input type="checkbox" className="checkbox" checked={on}
          onChange={(event) => { setLetters(event.target.checked); setOn(event.target.checked); }} />
        {t('frame.keysOn')}
      </label>
    </Dialog>
  );
}
