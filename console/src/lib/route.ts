// Patterns of paths: `/incidents/:id`, the last part optional with `/settings/:section?`.

export type Params = Readonly<Record<string, string>>;

/** The values of a pattern's names in a path; null when the path is another one. */
export function matchPath(pattern: string, path: string): Params | null {
  const names = parts(pattern);
  const values = parts(path);
  if (values.length > names.length) return null;
  const params: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const value = values[index];
    if (!name.startsWith(':')) {
      if (name !== value) return null;
      continue;
    }
    if (value === undefined) {
      if (!name.endsWith('?')) return null;
      continue;
    }
    const text = decoded(value);
    if (text === null) return null;
    params[name.slice(1).replace('?', '')] = text;
  }
  return params;
}

/** The first of several patterns that fits; names after a word come before it in no table. */
export function firstMatch(patterns: readonly string[], path: string): { pattern: string; params: Params } | null {
  for (const pattern of patterns) {
    const params = matchPath(pattern, path);
    if (params) return { pattern, params };
  }
  return null;
}

/** Whether a link leads to the shown page, or to one above it. */
export function isActive(to: string, path: string, end: boolean): boolean {
  const target = parts(to).join('/');
  const at = parts(path).join('/');
  return at === target || (!end && (target === '' || at.startsWith(`${target}/`)));
}

const parts = (path: string) => path.split('/').filter(Boolean);

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
