// Runs the browser tests against the real server; started by crates/testkit/src/console, which holds
// the other end of standard input and output.
//
//   node e2e/real.mjs '{"url":"https://localhost:8443","setup_code":"…"}' [--only TEXT] [--shots FOLDER]
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const entry = fileURLToPath(new URL('./real/main.ts', import.meta.url));
const { module } = await runnerImport(entry, { configFile: false, logLevel: 'error' });
process.exit(await module.main(process.argv.slice(2)));
