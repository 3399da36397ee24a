// Fails when the built console exceeds its size budgets (gzip -9, kB of 1,000 bytes).
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url);
const BUDGET_KB = { shell: 120, words: 24, route: 60, whole: 500 };

const gz = (name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length / 1000;
const index = readFileSync(new URL('index.html', dist), 'utf8');
const files = readdirSync(new URL('assets/', dist)).filter((name) => /\.(js|css)$/.test(name));
const sizes = new Map(files.map((name) => [name, gz(`assets/${name}`)]));
const first = files.filter((name) => index.includes(name));
// the words of one language are fetched beside the shell; more pages mean more words, not more code
const words = files.filter((name) => /^(en|ja)-/.test(name));
const largestWords = Math.max(0, ...words.map((name) => sizes.get(name)));

const imports = (name) =>
  [...readFileSync(new URL(`assets/${name}`, dist), 'utf8').matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)].map((match) => match[1]);

/** Everything a lazily loaded page brings besides the shell. */
function routeSize(name) {
  const seen = new Set();
  const stack = [name];
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (seen.has(at) || first.includes(at) || !sizes.has(at)) continue;
    seen.add(at);
    stack.push(...imports(at));
  }
  return [...seen].reduce((sum, one) => sum + sizes.get(one), 0);
}

const shellFiles = new Set(first);
for (const name of first) if (name.endsWith('.js')) for (const one of imports(name)) shellFiles.add(one);
const shell = [...shellFiles].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
const routes = files
  .filter((name) => name.endsWith('.js') && !shellFiles.has(name) && !words.includes(name))
  .map((name) => [name, routeSize(name)])
  .sort((a, b) => b[1] - a[1]);
const whole = [...sizes.values()].reduce((sum, size) => sum + size, 0);

const over = [];
const report = (what, size, budget) => {
  console.log(`${what.padEnd(34)} ${size.toFixed(1).padStart(7)} kB gz  (budget ${budget})`);
  if (size > budget) over.push(what);
};
report('shell', shell, BUDGET_KB.shell);
report('words of one language', largestWords, BUDGET_KB.words);
for (const [name, size] of routes.slice(0, 6)) report(`  ${name}`, size, BUDGET_KB.route);
report('whole', whole, BUDGET_KB.whole);
if (over.length > 0) {
  console.error(`over budget: ${over.join(', ')}`);
  process.exit(1);
}
