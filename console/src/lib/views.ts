// Saved views of lists: a name and the search of an address, kept in this browser.

export interface View { name: string; search: string }

const STORED = 'hinomi.views';
/** Views of one list, and the longest name. */
export const VIEWS_MAX = 30;
export const NAME_MAX = 60;
/** What belongs to a moment, not to a view. */
const PASSING = ['pane', 'cursor', 'incident'];

/** The part of an address that makes a view. */
export function viewOf(search: string): string {
  const params = new URLSearchParams(search);
  for (const name of PASSING) params.delete(name);
  params.sort();
  return String(params);
}

/** Views from what was stored; what is damaged is left out. */
export function readViews(stored: string | null, page: string): View[] {
  try {
    const all: unknown = JSON.parse(stored ?? '{}');
    const own = all && typeof all === 'object' ? (all as Record<string, unknown>)[page] : undefined;
    if (!Array.isArray(own)) return [];
    return own.filter((one): one is View => typeof one?.name === 'string' && typeof one.search === 'string').slice(0, VIEWS_MAX);
  } catch {
    return [];
  }
}

/** The stored text with the views of one page replaced. */
export function writeViews(stored: string | null, page: string, views: View[]): string {
  let all: Record<string, unknown> = {};
  try {
    const known: unknown = JSON.parse(stored ?? '{}');
    if (known && typeof known === 'object' && !Array.isArray(known)) all = known as Record<string, unknown>;
  } catch {
    // damaged: begun anew
  }
  if (views.length > 0) all[page] = views.slice(0, VIEWS_MAX);
  else delete all[page];
  return JSON.stringify(all);
}

/** Puts a view first; one of the same name is replaced. */
export function withView(views: View[], view: View): View[] {
  const name = view.name.trim().slice(0, NAME_MAX);
  return [{ ...view, name }, ...views.filter((one) => one.name !== name)].slice(0, VIEWS_MAX);
}

export function loadViews(page: string): View[] {
  try {
    return readViews(localStorage.getItem(STORED), page);
  } catch {
    return [];
  }
}

export function saveViews(page: string, views: View[]) {
  try {
    localStorage.setItem(STORED, writeViews(localStorage.getItem(STORED), page, views));
  } catch {
    // storage is switched off or full: the views last for this visit
  }
}
