// Each role against the API's own table of routes, and against what the pages offer.
import { expect, settled } from '../checks';
import { NAMES, ROLES, type Person, type Role, type World } from './world';

type Permission = 'public' | 'profile' | 'read' | 'triage' | 'act' | 'audit' | 'administer';
const ALLOWED: Record<Role, Permission[]> = {
  viewer: ['public', 'profile', 'read'],
  auditor: ['public', 'profile', 'read', 'audit'],
  responder: ['public', 'profile', 'read', 'triage', 'act'],
  administrator: ['public', 'profile', 'read', 'triage', 'act', 'audit', 'administer'],
};

interface Operation { description?: string; operationId: string }
interface Document { paths: Record<string, Record<string, Operation>> }

/** Every route with its permission, as the document of the server tells it. */
async function table(world: World, person: Person) {
  await person.page.goto(`${world.base}/login`);
  const document = await person.page.evaluate(async () => (await fetch('/api/v1/openapi.json')).json() as Promise<Document>);
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => {
      const permission = /Permission: (\w+)\./.exec(operation.description ?? '')?.[1] as Permission | undefined;
      return permission ? [{ method: method.toUpperCase(), path, permission, id: operation.operationId }] : [];
    }));
}

/** Would end the session this test runs in, or never answer. */
const LEFT_OUT = ['logout', 'endOtherSessions', 'getStream'];

export async function matrix(world: World, asking: Person): Promise<string> {
  const routes = await table(world, asking);
  expect(routes.length > 60, `a table of routes, got ${routes.length}`);
  await Promise.all(ROLES.map(async (role) => {
    const person = await world.person({ language: 'en', theme: 'dark' });
    await world.logIn(person, NAMES[role]);
    await refusals(person, role, routes.filter(({ id }) => !LEFT_OUT.includes(id)));
    await offers(world, person, role);
    expect(person.errors.length === 0, `${role}: ${person.errors.join(' | ')}`);
    await person.context.close();
  }));
  return `${routes.length} routes × ${ROLES.length} roles`;
}

async function refusals({ page }: Person, role: Role, routes: { method: string; path: string; permission: Permission }[]) {
  const nothing = '00000000-0000-7000-8000-000000000000';
  const asked = routes.map(({ method, path, permission }) => ({
    method, permission, path: path.replace('{sha256}', '0'.repeat(64)).replaceAll(/\{\w+\}/g, nothing),
  }));
  const wrong = await page.evaluate(async ({ asked, allowed }) => {
    const found: string[] = [];
    for (const { method, path, permission } of asked) {
      // a body no route accepts: whoever may is told 400, whoever may not 403
      const body = method === 'GET' || method === 'DELETE' ? undefined : '{"no such field":1}';
      const answer = await fetch(path.startsWith('/api') ? path : `/api/v1${path}`, { method, body, headers: { 'x-hinomi': '1', 'content-type': 'application/json' } });
      const text = await answer.text();
      const refused = answer.status === 403 && text.includes('"forbidden"');
      const out = answer.status === 401 && permission !== 'public';
      if (out || refused === allowed.includes(permission)) found.push(`${method} ${path}: ${answer.status}`);
    }
    return found;
  }, { asked, allowed: ALLOWED[role] });
  expect(wrong.length === 0, `${role}: ${wrong.join(', ')}`);
}

async function offers(world: World, { page }: Person, role: Role) {
  const may = (permission: Permission) => ALLOWED[role].includes(permission);
  const shown = async (selector: string) => (await page.locator(selector).count()) > 0;

  await page.goto(`${world.base}/incidents/${world.known.incident!}`);
  await settled(page, '[data-test=resolve]');
  expect(await shown('.navigation a[href="/audit"]') === may('audit'), `${role}: audit log in the navigation`);
  const resolve = page.locator('[data-test=resolve]');
  expect((await resolve.getAttribute('aria-disabled')) === (may('triage') ? null : 'true'), `${role}: resolve`);
  if (!may('triage')) expect(((await resolve.getAttribute('title')) ?? '').includes('Responder'), `${role}: is told which role is needed`);

  await page.goto(`${world.base}/devices/${world.devices['pc-tanaka']!}?tab=overview`);
  await settled(page, '[data-test=isolate]');
  expect((await page.locator('[data-test=isolate]').getAttribute('aria-disabled')) === (may('act') ? null : 'true'), `${role}: isolate`);

  await page.goto(`${world.base}/audit`);
  await settled(page, may('audit') ? '.grid-row' : '.state');
  expect(await shown('.grid-row') === may('audit'), `${role}: audit log`);

  await page.goto(`${world.base}/settings/profile`);
  await settled(page, '.settings nav a');
  for (const section of ['users', 'tokens', 'enrolment']) {
    expect(await shown(`.settings nav a[href="/settings/${section}"]`) === may('administer'), `${role}: settings/${section}`);
  }
  await page.goto(`${world.base}/settings/users`);
  await settled(page, may('administer') ? 'table.plain' : '.settings .banner');
  expect(await shown('table.plain') === may('administer'), `${role}: users`);
}
