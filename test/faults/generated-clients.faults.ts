import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { startApi } from '../support/api.ts';

/**
 * Clients as their users get them: a generator reads /openapi.json, and what it writes uploads a file and fetches a video.
 * The generators come from their registries, once; where that cannot be, the tests are skipped and say so.
 */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = path.join(ROOT, 'node_modules/.cache/api-clients');
const KEY = 'a-key-of-this-test';
/** typescript 5: the generator works with the compiler's own functions, which later ones do not offer. */
const NPM_PACKAGES = ['@hey-api/openapi-ts@0.99.0', 'typescript@5.9.3'];
const PIP_PACKAGES = ['openapi-python-client==0.29.1'];
const INSTALL_TIMEOUT_MS = 60_000;

const { app, artifacts, store, renderIn } = await startApi({ auth: { api_keys: [KEY] } });
await app.listen({ host: '127.0.0.1', port: 0 });
const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-clients-'));
after(() => rm(folder, { recursive: true, force: true }));
const finished = await renderIn('completed');
await artifacts.publish(artifactKeys.video(finished), (file) => writeFile(file, 'a video'));
const inFolder = (name: string) => path.join(folder, name);
const answer = await fetch(`${url}/openapi.json`, { headers: { authorization: `Bearer ${KEY}` } });
await writeFile(inFolder('openapi.json'), await answer.text());
await writeFile(inFolder('speech.wav'), 'sound');

/** The folder of a generator, installed into it once; undefined where it cannot be installed. */
async function generator(name: string, install: (into: string) => Promise<unknown>): Promise<string | undefined> {
  const home = path.join(CACHE, name);
  if (existsSync(home)) return home;
  const draft = `${home}.${process.pid}`;
  try {
    await mkdir(draft, { recursive: true });
    await install(draft);
    // Somebody else may have been faster.
    await rename(draft, home).catch(() => rm(draft, { recursive: true }));
    return home;
  } catch {
    // Said by the test that is skipped for it.
    await rm(draft, { recursive: true, force: true });
    return undefined;
  }
}

const options = { timeout: INSTALL_TIMEOUT_MS };
const npmHome = await generator('hey-api-0.99.0', (into) =>
  run('npm', ['install', '--prefix', into, '--ignore-scripts', '--no-audit', '--no-fund', ...NPM_PACKAGES], options),
);
const pipHome = await generator('openapi-python-client-0.29.1', (into) =>
  run('python3', ['-m', 'pip', 'install', '--quiet', '--target', into, ...PIP_PACKAGES], options),
);

/** What a client says of an upload, of one that is refused, and of a video. */
interface Said {
  readonly submitted: { status: string; modelId: string; fileName: string };
  readonly refused: { code: string; remedy: string };
  readonly listed: number;
  readonly video: string;
}

async function check(said: Said): Promise<void> {
  assert.deepEqual(said.submitted, { status: 'queued', modelId: 'demo', fileName: 'speech.wav' });
  assert.equal(said.refused.code, 'request_invalid');
  assert.match(said.refused.remedy, /\.$/);
  assert.ok(said.listed > 0);
  assert.equal(said.video, 'a video');
  const [newest] = (await store.list(1)).records;
  assert.deepEqual([newest?.request.startFrameIndex, newest?.request.uploadBytes], [7, 5]);
}

describe('a client that is generated from /openapi.json uploads a file and fetches a video', () => {
  it('in TypeScript', { skip: npmHome ? false : `npm cannot install ${NPM_PACKAGES.join(' and ')}` }, async () => {
    const home = npmHome as string;
    const bin = (name: string) => path.join(home, 'node_modules/.bin', name);
    const client = inFolder('typescript');
    const generate = ['-i', inFolder('openapi.json'), '-o', path.join(client, 'farm'), '-c', '@hey-api/client-fetch'];
    await run(process.execPath, [bin('openapi-ts'), ...generate, '--no-log-file'], { cwd: home });
    await writeFile(path.join(client, 'main.ts'), TYPESCRIPT_PROGRAM);
    await writeFile(path.join(client, 'package.json'), '{"type": "commonjs"}');
    await symlink(path.join(ROOT, 'node_modules/@types'), path.join(client, 'types'));
    // The farm's own compiler takes less processor time than the generator's.
    const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
    const compile = ['--strict', '--target', 'es2022', '--module', 'node16', '--ignoreConfig'];
    const types = ['--typeRoots', path.join(client, 'types'), '--types', 'node', '--skipLibCheck'];
    await run(process.execPath, [tsc, ...compile, ...types, path.join(client, 'main.ts')]).catch(showOutput);
    const { stdout } = await run(process.execPath, [
      path.join(client, 'main.js'),
      url,
      KEY,
      inFolder('speech.wav'),
      finished,
    ]);
    await check(JSON.parse(stdout) as Said);
  });

  it('in Python', { skip: pipHome ? false : `python3 -m pip cannot install ${PIP_PACKAGES}` }, async () => {
    const env = { ...process.env, PYTHONPATH: `${pipHome}:${folder}`, PYTHONDONTWRITEBYTECODE: '1' };
    await writeFile(inFolder('config.yaml'), PYTHON_CONFIG);
    const generate = ['--path', inFolder('openapi.json'), '--config', inFolder('config.yaml'), '--meta', 'none'];
    const into = ['--output-path', inFolder('farm_client')];
    await run('python3', ['-m', 'openapi_python_client', 'generate', ...generate, ...into], { env }).catch(showOutput);
    await cp(path.join(ROOT, 'test/api/generated_client.py'), inFolder('main.py'));
    const { stdout } = await run('python3', [inFolder('main.py'), url, KEY, inFolder('speech.wav'), finished], { env });
    await check(JSON.parse(stdout) as Said);
  });
});

/** Compilers and generators say what is wrong on standard output. */
function showOutput({ message, stdout }: Error & { stdout?: string }): never {
  throw new Error(`${message}\n${stdout}`);
}

/** Nothing is reformatted, and files of any kind are bytes. */
const PYTHON_CONFIG = `
post_hooks: []
content_type_overrides: {video/mp4: application/octet-stream, image/jpeg: application/octet-stream}
`;

const TYPESCRIPT_PROGRAM = `
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { getVideo, listRenders, submitRender } from './farm';
import { client } from './farm/client.gen';

async function main([baseUrl = '', key = '', file = '', finished = '']: string[]) {
  client.setConfig({ baseUrl, auth: key });
  const audio = new File([readFileSync(file)], basename(file));
  const { data: render } = await submitRender({ body: { audio, model_id: 'demo', start_frame: 7 }, throwOnError: true });
  const { error } = await submitRender({ body: { audio, jpeg_quality: 500 } });
  const { data: page } = await listRenders({ query: { limit: 5, status: 'queued' }, throwOnError: true });
  const { data: video } = await getVideo({ path: { id: finished }, throwOnError: true });
  const submitted = { status: render.status, modelId: render.model_id, fileName: render.file_name };
  const text = await (video as Blob).text();
  console.log(JSON.stringify({ submitted, refused: error?.error, listed: page.renders.length, video: text }));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
`;
