import { mail } from './mail';
import { pages } from './pages';
import { terms } from './terms';

export const ja = { ...terms, ...pages, ...mail };
