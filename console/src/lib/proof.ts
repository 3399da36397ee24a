// A proof is a JSON object as text; what is inside is told flat, one list of names and values per mail.
export type ProofEntry = [name: string, value: string];

/** Depth and size of what is told; the whole text stays in the API. */
const DEPTH_MAX = 5;
const GROUPS_MAX = 20;

export function proofGroups(proof: string): ProofEntry[][] {
  let value: unknown;
  try {
    value = JSON.parse(proof);
  } catch {
    return [[['', proof]]];
  }
  if (!isObject(value)) return [[['', proof]]];
  const own: ProofEntry[] = [];
  const groups: ProofEntry[][] = [];
  for (const [name, one] of Object.entries(value)) {
    if (Array.isArray(one) && one.every(isObject)) groups.push(...one.map((each) => flat(each, name === 'mails' ? '' : name)));
    else own.push(...flat({ [name]: one }, ''));
  }
  return [own, ...groups].filter((group) => group.length > 0).slice(0, GROUPS_MAX);
}

function flat(value: Record<string, unknown>, prefix: string, depth = 0): ProofEntry[] {
  return Object.entries(value).flatMap(([key, one]): ProofEntry[] => {
    const name = prefix ? `${prefix}.${key}` : key;
    if (one === null || one === undefined || (Array.isArray(one) && one.length === 0)) return [];
    if (isObject(one) && depth < DEPTH_MAX) return flat(one, name, depth + 1);
    return [[name, typeof one === 'object' ? JSON.stringify(one) : String(one)]];
  });
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
