// Runs the browser tests: the TypeScript of this folder is loaded by vite, which is here anyway.
// Options: --full or HINOMI_FULL=1 (every page in all four settings instead of one, chosen by HINOMI_SEED), --only TEXT,TEXT (names containing one of them),
// --pages or --flows (only these), --shots (a screenshot of every page).
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const entry = fileURLToPath(new URL('./main.ts', import.meta.url));
const { module } = await runnerImport(entry, { configFile: false, logLevel: 'error' });
process.exit(await module.main(process.argv.slice(2)));
