/** Ids of demos have this third group (crates/model/src/demo.rs). */
const MARK = '8de0';
const TAG = 'demo';

export const isDemo = (id: string): boolean => id.slice(14, 18) === MARK;

/** Tags of people: that of a demo is shown by its own mark. */
export const ownTags = (of: { id: string; tags: string[] }): string[] =>
  isDemo(of.id) ? of.tags.filter((tag) => tag !== TAG) : of.tags;
