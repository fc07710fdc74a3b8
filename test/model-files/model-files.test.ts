import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type RemoteFile, remoteFile } from '../../shared/model-files/address.ts';
import { type EnsureOptions, ModelFiles, type ModelFilesOptions } from '../../shared/model-files/model-files.ts';
import { Bucket } from '../../shared/s3/bucket.ts';
import { MB } from '../../shared/units.ts';
import { fingerprintNetwork } from '../../worker/models/file-fingerprint.ts';
import { OnnxLipSyncNetwork } from '../../worker/onnx/lip-sync-network.ts';
import { startS3 } from '../support/s3-server.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { withWeightsOutside } from './external-weights.ts';
import { FileServer, tarOf } from './file-server.ts';

const NEVER = new AbortController().signal;
const MODEL = Buffer.from('the bytes of a model, '.repeat(100_000));
const shaOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const codeOf = async (work: Promise<unknown>) =>
  await work.then(
    () => 'none',
    (error) => FarmError.from(error).code,
  );

await buildSmallAvatar();
const s3 = await startS3('weights');
after(() => s3.close());
const bucket = new Bucket({ ...s3.settings, prefix: '' });

let folder = '';
let server: FileServer;
beforeEach(async (t) => {
  folder = await mkdtemp(path.join(tmpdir(), 'farm-test-models-'));
  server = await FileServer.start();
  server.files.set('/anna.onnx', MODEL);
  if ('after' in t) {
    t.after(async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    });
  }
});

/** A host, or another process of the same host. */
function host(options: Partial<ModelFilesOptions> = {}): ModelFiles {
  const { endpoint, region, path_style } = s3.settings;
  return new ModelFiles({
    ...{ hosts: [server.origin], buckets: ['weights'], networks: ['127.0.0.1'], cacheDir: folder, maxBytes: 2 ** 30 },
    server: { endpoint, region, path_style },
    ...options,
  });
}

function file(text: string, kind: RemoteFile['kind'] = 'file'): RemoteFile {
  const list = { hosts: [server.origin, 'https://models.example.com'], buckets: ['weights'] };
  const found = remoteFile({ key: 'model_path', text, kind }, folder, list);
  assert.equal(found.problem, undefined);
  return found.file;
}

const fetched = (one: RemoteFile, more: Partial<EnsureOptions> = {}, from = host()) =>
  from.ensure([one], { signal: NEVER, ...more });

describe('files of models at addresses', () => {
  it('are fetched once for all processes of a host, and found by the next ones without a request', async () => {
    const model = file(`${server.origin}/anna.onnx`);
    let [came, expected] = [0, 0];
    const onProgress = (bytes: number, more: number) => {
      came += bytes;
      expected += more;
    };
    await Promise.all([fetched(model, { onProgress }), fetched(model, { onProgress }), fetched(model, { onProgress })]);
    await fetched(model);
    assert.deepEqual(await readFile(model.path), MODEL);
    assert.equal(path.basename(model.path), 'anna.onnx');
    assert.equal(server.requests.length, 1);
    assert.deepEqual([came, expected], [MODEL.length, MODEL.length]);
  });

  it('are gone on with where a connection, or a process, has broken off', async () => {
    server.breaks.push(900_000, 700_000);
    const model = file(`${server.origin}/anna.onnx`);
    await fetched(model);
    assert.deepEqual(await readFile(model.path), MODEL);
    const ranges = server.requests.map(({ range }) => range);
    assert.equal(ranges[0], undefined);
    assert.ok(ranges.length === 3 && ranges[1] !== undefined, String(ranges));

    const other = file(`${server.origin}/anna.onnx?again`);
    server.files.set('/anna.onnx?again', MODEL);
    const first = new AbortController();
    await assert.rejects(
      fetched(other, { signal: first.signal, onProgress: (bytes) => void (bytes > 0 && first.abort()) }),
    );
    await fetched(other);
    assert.match(server.requests.at(-1)?.range ?? '', /^bytes=\d+-$/);
    assert.deepEqual(await readFile(other.path), MODEL);

    // A process that was killed when all had come, and before it said so.
    const third = file(`${server.origin}/anna.onnx?third`);
    server.files.set('/anna.onnx?third', MODEL);
    await mkdir(path.dirname(third.path), { recursive: true });
    await writeFile(`${third.path}.draft`, MODEL);
    await writeFile(`${third.path}.draft.tag`, server.etagOf(MODEL));
    await fetched(third);
    assert.deepEqual(await readFile(third.path), MODEL);
  });

  it('are asked after again: what has not changed does not come twice, what has is another file', async () => {
    const model = file(`${server.origin}/anna.onnx`);
    await fetched(model);
    const later = { asksAgain: true };
    const asked = host({ checkedForMs: 0 });
    assert.equal(await fetched(model, later, asked), false);
    assert.equal(server.requests.at(-1)?.status, 304);
    server.files.set('/anna.onnx', Buffer.from('other bytes'));
    assert.equal(await fetched(model, later, asked), true);
    assert.equal(await readFile(model.path, 'utf8'), 'other bytes');
    assert.equal((await readdir(path.join(folder, 'objects'))).length, 2, 'those in memory keep the old one');

    await server.stop();
    const stale: string[] = [];
    assert.equal(await fetched(model, { ...later, onStale: ({ code }) => void stale.push(code) }, asked), false);
    assert.deepEqual(stale, ['model_unreachable']);
  });

  it('must hash to what the configuration says', async () => {
    const right = file(`${server.origin}/anna.onnx#sha256=${shaOf(MODEL).toUpperCase()}`);
    await fetched(right);
    const wrong = file(`${server.origin}/anna.onnx#sha256=${'0'.repeat(64)}`);
    assert.equal(await codeOf(fetched(wrong)), 'model_hash_differs');
    assert.ok(!existsSync(wrong.path));
    const before = server.requests.length;
    await fetched(file(`${server.origin}/elsewhere.onnx#sha256=${shaOf(MODEL)}`));
    assert.equal(server.requests.length, before, 'the content is here already');
  });

  it('say what is wrong by a code', async () => {
    assert.equal(await codeOf(fetched(file(`${server.origin}/gone.onnx`))), 'model_file_missing');
    assert.equal(await codeOf(fetched(file('s3://weights/gone.onnx'))), 'model_file_missing');
    assert.equal(await codeOf(fetched(file('s3://weights/gone/', 'folder'))), 'model_file_missing');
    server.redirects.set('/elsewhere.onnx', 'http://127.0.0.1:1/anna.onnx');
    assert.equal(await codeOf(fetched(file(`${server.origin}/elsewhere.onnx`))), 'address_refused');
    const model = file(`${server.origin}/anna.onnx`);
    assert.equal(await codeOf(fetched(model, {}, host({ networks: [] }))), 'address_refused', 'a loopback address');
    await server.stop();
    assert.equal(await codeOf(fetched(model)), 'model_unreachable');
  });

  it('come from buckets as well: files, and folders by their prefix, of which only what changed comes anew', async () => {
    await bucket.put('anna/model.onnx', MODEL);
    for (const name of ['0000.jpg', '0001.jpg']) await bucket.put(`anna/frames/${name}`, Buffer.from(name));
    await bucket.put('anna/frames/deeper/0000.jpg', Buffer.from('not of this folder'));
    const [model, frames] = [file('s3://weights/anna/model.onnx'), file('s3://weights/anna/frames/', 'folder')];
    await host().ensure([model, frames], { signal: NEVER });
    assert.deepEqual(await readFile(model.path), MODEL);
    assert.deepEqual(await readdir(frames.path), ['0000.jpg', '0001.jpg']);
    const asked = host({ checkedForMs: 0 });
    assert.equal(await asked.ensure([model, frames], { signal: NEVER, asksAgain: true }), false);
    await bucket.put('anna/frames/0001.jpg', Buffer.from('another'));
    assert.equal(await asked.ensure([model, frames], { signal: NEVER, asksAgain: true }), true);
    assert.equal(await readFile(path.join(frames.path, '0001.jpg'), 'utf8'), 'another');
  });

  it('are folders from archives, packed or not', async () => {
    const files = { 'frames/0000.jpg': Buffer.from('first'), 'frames/0001.jpg': Buffer.alloc(1025, 'b') };
    server.files.set('/frames.tar', tarOf(files));
    server.files.set('/frames.tar.gz', gzipSync(tarOf(files)));
    server.files.set('/cut.tar', tarOf(files).subarray(0, 1300));
    for (const name of ['frames.tar', 'frames.tar.gz']) {
      const frames = file(`${server.origin}/${name}`, 'folder');
      await fetched(frames);
      assert.deepEqual(await readdir(frames.path), ['0000.jpg', '0001.jpg']);
      assert.deepEqual(await readFile(path.join(frames.path, '0001.jpg')), files['frames/0001.jpg']);
    }
    const openFiles = async () => (await readdir('/proc/self/fd').catch(() => [])).length;
    const before = await openFiles();
    server.files.set('/cut.tar.gz', gzipSync(Buffer.concat([tarOf(files).subarray(0, 700), randomBytes(MB)])));
    for (const name of ['cut.tar', ...Array.from({ length: 8 }, () => 'cut.tar.gz')]) {
      assert.equal(await codeOf(fetched(file(`${server.origin}/${name}`, 'folder'))), 'model_unusable');
    }
    await until('no file of theirs is open', async () => (await openFiles()) <= before + 2);
  });

  it('from archives count with what is in them, and no more of them is unpacked than the cache may hold', async () => {
    server.files.set('/frames.tar.gz', gzipSync(tarOf({ '0000.jpg': Buffer.alloc(200 * MB) })));
    const frames = file(`${server.origin}/frames.tar.gz`, 'folder');
    assert.equal(await codeOf(fetched(frames, {}, host({ maxBytes: 100 * MB }))), 'storage_full');
    assert.ok(!existsSync(`${frames.path}.draft`));
  });

  it('are networks with their weights, which lie beside them and count in what they hash to', async () => {
    const { model, weights } = withWeightsOutside(await readFile(SMALL_MODEL.model_path), 'small.onnx.data');
    server.files.set('/small.onnx', Buffer.from(model));
    server.files.set('/small.onnx.data', Buffer.from(weights));
    const network = file(`${server.origin}/small.onnx`, 'network');
    await fetched(network);
    const settings = {
      providers: ['cpu'],
      threads: { intraOp: 1, interOp: 1 },
      hears: { kind: undefined, hubertChunks: 'long' as const },
    };
    await (await OnnxLipSyncNetwork.open(network.path, settings)).release();
    const before = (await fingerprintNetwork(network.path)).map(({ sha256 }) => sha256);
    assert.deepEqual(before, [shaOf(model), shaOf(weights)]);
    // A copy of another host's, with one byte of its weights changed.
    const other = path.join(folder, 'other');
    await cp(path.dirname(network.path), other, { recursive: true });
    weights[weights.length - 1] = (weights.at(-1) ?? 0) ^ 1;
    await rm(path.join(other, 'small.onnx.data'));
    await writeFile(path.join(other, 'small.onnx.data'), weights);
    assert.notDeepEqual(
      (await fingerprintNetwork(path.join(other, 'small.onnx'))).map(({ sha256 }) => sha256),
      before,
    );
  });

  it('go from a full cache by when they were used last, but for those in use', async () => {
    for (const name of ['a', 'b', 'c', 'd']) server.files.set(`/${name}`, Buffer.alloc(1000, name));
    const small = host({ maxBytes: 2500, inUseMs: 0 });
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => file(`${server.origin}/${name}`)) as [
      RemoteFile,
      RemoteFile,
      RemoteFile,
      RemoteFile,
    ];
    await small.ensure([a, b], { signal: NEVER });
    await small.touch([a]);
    await small.ensure([c], { signal: NEVER });
    assert.deepEqual(
      [a, b, c].map((one) => existsSync(one.path)),
      [true, false, true],
    );
    assert.equal((await readdir(path.join(folder, 'objects'))).length, 2);
    assert.equal(await codeOf(fetched(d, {}, host({ maxBytes: 2500 }))), 'storage_full');
    assert.deepEqual(
      [a, c, d].map((one) => existsSync(one.path)),
      [true, true, false],
    );
  });
});

describe('addresses', () => {
  const list = { hosts: ['models.example.com', '*.cdn.example.com', 'http://10.0.0.5:9000'], buckets: ['weights'] };
  const problem = (text: string, kind: RemoteFile['kind'] = 'file') =>
    remoteFile({ key: 'model_path', text, kind }, '/cache', list).problem;

  it('are refused by name unless they are listed', () => {
    for (const text of [
      'https://models.example.com/a',
      'https://x.cdn.example.com/a',
      'http://10.0.0.5:9000/a',
      's3://weights/a',
    ]) {
      assert.equal(problem(text), undefined, text);
    }
    assert.match(
      problem('https://other.example.com/a?token=secret') ?? '',
      /^model_path: https:\/\/other.example.com\/a is refused: models_from.hosts does not list other/,
    );
    assert.match(problem('http://models.example.com/a') ?? '', /so it must be https/);
    assert.match(problem('https://cdn.example.com/a') ?? '', /does not list/);
    assert.match(problem('s3://others/a') ?? '', /models_from.buckets does not list others/);
    assert.match(problem('https://ann:pw@models.example.com/a') ?? '', /name and password/);
  });

  it('must fit what they are of', () => {
    assert.match(problem('https://models.example.com/a#sha256=12') ?? '', /64 hex digits/);
    assert.match(problem('s3://weights/frames/') ?? '', /a file is expected/);
    assert.equal(problem('s3://weights/frames/', 'folder'), undefined);
    assert.equal(problem('https://models.example.com/frames.tgz', 'folder'), undefined);
    assert.match(problem('https://models.example.com/frames/', 'folder') ?? '', /an archive/);
    assert.match(problem(`s3://weights/frames/#sha256=${'0'.repeat(64)}`, 'folder') ?? '', /no one hash/);
  });
});
