// Bundles the extension into dist/. With LACUNA_SERVER=PROGRAM that server goes into the package, for the platform it was
// built for; without it the extension looks for one on the machine.

import { chmodSync, copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

await build({
  entryPoints: [here('src/extension.ts')],
  outfile: here('dist/extension.cjs'),
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  external: ['vscode'],
  minify: true,
  logLevel: 'warning',
});
copyFileSync(here('../../LICENSE'), here('LICENSE'));
rmSync(here('bin'), { recursive: true, force: true });
const server = process.env.LACUNA_SERVER;
if (server) {
  mkdirSync(here('bin'));
  const copy = here(`bin/${basename(server).endsWith('.exe') ? 'lacuna.exe' : 'lacuna'}`);
  copyFileSync(server, copy);
  chmodSync(copy, 0o755);
}
