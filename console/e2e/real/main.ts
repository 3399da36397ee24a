// Flows of people, then every page, on the real server. The flows build on each other: the first
// makes the administrator, the second logs in, …
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tally } from '../checks';
import { flows } from './flows';
import { lookAtPages } from './pages';
import { World } from './world';

export async function main(args: string[]): Promise<number> {
  const value = (name: string) => (args.includes(name) ? (args[args.indexOf(name) + 1] ?? '') : '');
  const [shots, until] = [value('--shots'), value('--until')];
  const began = performance.now();
  const world = await World.open(JSON.parse(args[0] ?? '{}') as { url: string; setup_code: string });
  const { check, report } = tally();
  world.shots = shots;
  if (shots) mkdirSync(shots, { recursive: true });
  try {
    const play = async ({ name, setting, act }: (typeof flows)[number]) => {
      await check(name, async () => {
        const person = await world.person(setting);
        try {
          const note = await act(world, person);
          if (person.errors.length > 0) throw new Error(`console: ${person.errors.join(' | ')}`);
          return note;
        } catch (error) {
          // flows open pages of their own
          const open = shots ? world.browser.contexts().flatMap((context) => context.pages()) : [];
          for (const [index, page] of open.entries()) {
            await page.screenshot({ path: join(shots, `failed-${name.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 60)}-${index}.png`) });
          }
          throw error;
        } finally {
          await person.context.close();
        }
      });
    };
    for (const flow of flows.filter((one) => !one.last)) {
      await play(flow);
      if (until && flow.name.includes(until)) break;
    }
    if (!until) {
      await lookAtPages(world, check, { shots, all: args.includes('--all') });
      for (const flow of flows.filter((one) => one.last)) await play(flow);
    }
  } finally {
    await world.browser.close();
  }
  console.log(`in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return report();
}
