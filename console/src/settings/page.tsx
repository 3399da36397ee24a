import { NavLink, Navigate, useParams } from '../lib/router';
import { useCan } from '../api/queries';
import { useT } from '../i18n';
import { Page } from '../frame/page';
import { Automation } from './automation';
import { Demos } from './demos';
import { Enrolment } from './enrolment';
import { Notifications } from './notifications';
import { Profile, Sessions } from './profile';
import { Tokens } from './tokens';
import { Users } from './users';
import '../styles/pages.css';

const SECTIONS = {
  profile: { body: Profile, administer: false },
  sessions: { body: Sessions, administer: false },
  automation: { body: Automation, administer: false },
  enrolment: { body: Enrolment, administer: true },
  users: { body: Users, administer: true },
  tokens: { body: Tokens, administer: true },
  notifications: { body: Notifications, administer: true },
  demos: { body: Demos, administer: true },
} as const;
type Section = keyof typeof SECTIONS;

export default function SettingsPage() {
  const { section } = useParams();
  const { t } = useT();
  const administer = useCan('administer');
  if (!section || !(section in SECTIONS)) return <Navigate to="/settings/profile" replace />;
  const { body: Body, administer: needed } = SECTIONS[section as Section];
  return (
    <Page title={t('nav.settings')}>
      <div className="settings">
        <nav aria-label={t('nav.settings')}>
          {(Object.keys(SECTIONS) as Section[]).filter((one) => administer || !SECTIONS[one].administer).map((one) => (
            <NavLink key={one} to={`/settings/${one}`}>{t(`settings.sections.${one}`)}</NavLink>
          ))}
        </nav>
        <div className="column" style={{ gap: 16 }}>
          {needed && !administer ? <div className="banner info">{t('states.needRole', { role: t('role.administrator') })}</div> : <Body />}
        </div>
      </div>
    </Page>
  );
}
