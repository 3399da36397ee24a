import { mail } from './mail';
import { pages } from './pages';
import { settings } from './settings';
import { terms } from './terms';

export const ja = { ...terms, ...pages, ...settings, ...mail };
