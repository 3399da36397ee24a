import { mail } from './mail';
import { pages } from './pages';
import { terms } from './terms';

export const en = { ...terms, ...pages, ...mail };
