import { pages } from './pages';
import { terms } from './terms';

export const ja = { ...terms, ...pages };
