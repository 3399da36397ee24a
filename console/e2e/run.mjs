// Runs the browser tests: the TypeScript of this folder is loaded by vite, which is here anyway.
// Options: --only TEXT (names containing it), --shots (a screenshot of every page), --dark-ja (one sample).
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const entry = fileURLToPath(new URL('./main.ts', import.meta.url));
const { module } = await runnerImport(entry, { configFile: false, logLevel: 'error' });
process.exit(await module.main(process.argv.slice(2)));
