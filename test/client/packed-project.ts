import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { packClient } from '../../scripts/pack-client.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** A project that has the packed client and zod, and nothing else. Gone when it is disposed of. */
export async function startProject(): Promise<{ readonly folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-packed-'));
  const packed = packClient(folder);
  const modules = path.join(folder, 'node_modules');
  await mkdir(path.join(modules, 'lipsync-farm-client'), { recursive: true });
  await run('tar', ['xzf', packed, '-C', path.join(modules, 'lipsync-farm-client'), '--strip-components=1']);
  // What `npm install` would fetch.
  await symlink(path.join(ROOT, 'node_modules/zod'), path.join(modules, 'zod'));
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}');
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** A page with an import map, as a project without a bundler has it. */
const PAGE = `<!doctype html><title>A page of somebody else</title><script type="importmap">${JSON.stringify({
  imports: {
    'lipsync-farm-client': '/node_modules/lipsync-farm-client/lib/client/index.js',
    zod: '/node_modules/zod/index.js',
  },
})}</script>`;

/** Serves the page at `/`, and the files of the project. The project may come later. */
export async function servePage(folder: () => string): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer(async ({ url = '/' }, response) => {
    if (url === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
    const file = await readFile(path.join(folder(), url)).catch(() => undefined);
    response.setHeader('content-type', 'text/javascript').writeHead(file ? 200 : 404);
    return response.end(file);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
