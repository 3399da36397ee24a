import { mail } from './mail';
import { pages } from './pages';
import { settings } from './settings';
import { terms } from './terms';
import { tuning } from './tuning';

export const ja = { ...terms, ...pages, ...settings, ...mail, ...tuning };
