import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/**
 * `npm run pack:client [folder]`: makes the npm package `lipsync-farm-client` of `client/` and what it uses of `shared/`:
 * ESM and types, for browsers and Node, with zod as its only dependency. It goes into `folder`, by default `out/`.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NAME = 'lipsync-farm-client';

const manifestSchema = z.object({
  version: z.string(),
  license: z.string(),
  dependencies: z.object({ zod: z.string() }),
});

/** Makes the package and returns the path of its file. @throws when the compiler or npm says no, with what it said. */
export function packClient(folder: string): string {
  const stage = mkdtempSync(join(tmpdir(), 'farm-client-'));
  try {
    // What browsers load is compiled without the types of Node: it cannot use what only Node has.
    for (const project of ['client', 'client/node']) compile(project, join(stage, 'lib'));
    writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifestOfPackage(), null, 2)}\n`);
    copyFileSync(join(ROOT, 'docs/client.md'), join(stage, 'README.md'));
    copyFileSync(join(ROOT, 'LICENSE'), join(stage, 'LICENSE'));
    const target = resolve(folder);
    mkdirSync(target, { recursive: true });
    const said = run('npm', ['pack', stage, '--pack-destination', target, '--ignore-scripts', '--offline', '--silent']);
    return join(target, said.trim().split('\n').at(-1) ?? '');
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

function compile(project: string, outDir: string): void {
  const emit = ['--noEmit', 'false', '--declaration', '--rewriteRelativeImportExtensions', '--rootDir', '.'];
  run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project, '--outDir', outDir, ...emit]);
}

function manifestOfPackage(): object {
  const { version, license, dependencies } = manifestSchema.parse(
    JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')),
  );
  const entry = (name: string) => ({ types: `./lib/client/${name}.d.ts`, default: `./lib/client/${name}.js` });
  return {
    name: NAME,
    version,
    description: 'Client of a Lipsync Farm: renders, their progress and events, GPUs and models. Browsers and Node.',
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: '>=22' },
    exports: { '.': entry('index'), './node': entry('node/index') },
    files: ['lib'],
    dependencies: { zod: `^${dependencies.zod}` },
  };
}

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`}`);
  return stdout;
}

if (import.meta.main) console.log(packClient(process.argv[2] ?? join(ROOT, 'out')));
