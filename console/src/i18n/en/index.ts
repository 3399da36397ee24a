import { mail } from './mail';
import { pages } from './pages';
import { policy } from './policy';
import { regroup } from './regroup';
import { settings } from './settings';
import { terms } from './terms';
import { tuning } from './tuning';

export const en = { ...terms, ...pages, ...policy, ...settings, ...mail, ...tuning, ...regroup };
