import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ANYBODY, type Caller } from '../../api/access/caller.ts';
import { Uploads } from '../../api/renders/uploads.ts';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { footageOf } from '../../client/node/footage.ts';
import { openArtifacts } from '../../shared/artifacts/open.ts';
import { DAY_MS } from '../../shared/units.ts';
import type { UploadView as Upload } from '../../shared/views/upload-view.ts';
import { artifactStoreContract } from '../artifacts/store-contract.ts';
import { startApi } from '../support/api.ts';
import { startDoor } from '../support/door.ts';
import { startFarm } from '../support/farm.ts';
import { writeFootage } from '../support/footage.ts';
import { type MotoServer, startMoto, whyNoMoto } from '../support/moto-server.ts';
import { videoHash } from '../support/result-files.ts';
import { type S3Farm, startS3Farm } from '../support/s3-farm.ts';
import { startS3 } from '../support/s3-server.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** Files of renders in buckets: the same bytes as from a folder, on servers of two kinds, and while one is away. */

const FRAMES = 50;
const SETTINGS = { gpus: { count: 2 }, render: { attempts: 1, segment_frames: 10 } };
/** Longer than a request is tried again for, so that the work itself waits. */
const AWAY_MS = 60_000;

const noMoto = await whyNoMoto();
const { services } = await startApi({ server: { queue_size: 3 } });
const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-buckets-'));
after(() => rm(folder, { recursive: true, force: true }));

describe('another server of buckets', { skip: noMoto }, () => {
  let moto: MotoServer;
  let stores = 0;
  before(async () => {
    moto = await startMoto();
  });
  after(() => moto?.[Symbol.asyncDispose]());
  artifactStoreContract('bucket of moto', async () =>
    openArtifacts(
      { storageRoot: folder, bucket: { ...moto.settings, prefix: `store-${stores++}` } },
      { patienceMs: 0 },
    ),
  );
});

describe('uploads that were never completed', { skip: noMoto }, () => {
  it('are ended when they are old, and others stay', async () => {
    await using moto = await startMoto();
    const { resumable } = openArtifacts({ storageRoot: folder, bucket: moto.settings });
    const id = (await resumable?.begin('renders/r1/upload')) ?? '';
    // It says of each that it was begun in 2010.
    assert.equal(await resumable?.abortOld(40 * 365 * DAY_MS), 0);
    assert.deepEqual(await resumable?.parts('renders/r1/upload', id), []);
    assert.equal(await resumable?.abortOld(DAY_MS), 1);
    assert.equal(await resumable?.parts('renders/r1/upload', id), undefined);
  });
});

describe('uploads in parts that have begun', { skip: noMoto }, () => {
  it('leave room to other keys, and count until they are rendered', async () => {
    await using moto = await startMoto();
    const { config, redis, submission } = services;
    const artifacts = openArtifacts({ storageRoot: folder, bucket: moto.settings });
    const uploads = new Uploads({ config, redis, artifacts, submission });
    const begin = async (caller: Caller) =>
      await uploads.begin({ fileName: 'long.wav', bytes: 100 }, caller).then(
        ({ upload_id }) => upload_id,
        ({ code }) => code as string,
      );
    const [ann, bob] = [keyed('ann', 2), keyed('bob', 0)];
    const first = await begin(ann);
    await begin(ann);
    assert.equal(await begin(ann), 'key_limit_reached');
    assert.equal((await uploads.get(await begin(bob), bob)).bytes, 100);
    assert.equal(await begin(bob), 'queue_full');
    await uploads.rendered(first);
    await uploads.remove(await begin(ann), ann);
    assert.match(await begin(ann), /^r/);
  });
});

function keyed(keyName: string, unfinishedRenders: number): Caller {
  return { ...ANYBODY, keyName, role: 'render', limits: { ...ANYBODY.limits, unfinishedRenders } };
}

describe('a render whose files are in a bucket', () => {
  let speech = '';
  let fromFolder: string[] = [];
  before(async () => {
    speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(FRAMES / 25));
    await using farm = await startFarm({ models: { small: SMALL_MODEL }, ...SETTINGS });
    fromFolder = await rendersOf(farm.client);
  });

  it('has the bytes that it has from a folder, on several hosts that see nothing of each other', async () => {
    const server = await startS3();
    try {
      await using farm = await startS3Farm(server.settings, SETTINGS);
      assert.deepEqual(await rendersOf(farm.client), fromFolder);
      const kept = (await farm.onDisks()).filter((name) => /^[^/]+\/(?:renders|farm\.id)/.test(name));
      assert.deepEqual(kept, []);
    } finally {
      await server.close();
    }
  });

  it('has them from another server of buckets, too', { skip: noMoto }, async () => {
    await using moto = await startMoto();
    await using farm = await startS3Farm(moto.settings, SETTINGS);
    assert.deepEqual(await rendersOf(farm.client), fromFolder);
    await rendersUploadInParts(farm);
  });

  it('waits while the bucket is away, says so, and costs no attempt', async (t) => {
    const server = await startS3();
    await using door = await startDoor(Number(new URL(server.settings.endpoint).port));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => server.close());
    const settings = { ...server.settings, endpoint: `http://127.0.0.1:${door.port}` };
    await using farm: S3Farm = await startS3Farm(settings, SETTINGS);
    const { id } = await farm.client.submit(speech);
    await until('it is rendered', async () => (await farm.client.get(id)).frames.done > 0);
    door.shut();
    const awayAt = performance.now();
    await until('it waits, and says for what', async () => {
      const { waiting, status } = await farm.client.get(id);
      assert.notEqual(status, 'failed');
      return waiting?.code === 'storage_failed' && /bucket/.test(waiting.message);
    });
    const said = performance.now() - awayAt;
    await delay(AWAY_MS - said);
    door.open();
    const backAt = performance.now();
    assert.equal((await farm.client.finished(id)).status, 'completed');
    assert.equal(await videoHash(farm.client, id), fromFolder[0]);
    const seconds = (ms: number) => (ms / 1000).toFixed(1);
    t.diagnostic(
      `figure: a bucket away for ${AWAY_MS / 1000} s: said after ${seconds(said)} s, complete ${seconds(performance.now() - backAt)} s after it was back`,
    );
  });

  /** A sound of two parts, of which the second comes after a break. */
  async function rendersUploadInParts({ url, client }: S3Farm): Promise<void> {
    const ask = async (method: string, route: string, body?: object) => {
      const headers = body ? { 'content-type': 'application/json' } : {};
      const answer = await fetch(`${url}${route}`, {
        method,
        headers,
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      return { status: answer.status, body: (answer.status === 204 ? {} : await answer.json()) as Upload };
    };
    const long = path.join(folder, 'long.wav');
    await writeWav(long, syllables(60, 96_000), 96_000);
    const content = await readFile(long);
    const { status, body: begun } = await ask('POST', '/v1/uploads', { file_name: 'long.wav', bytes: content.length });
    assert.equal(status, 201, JSON.stringify(begun));
    assert.equal(begun.parts.length, 2);
    const put = async ({ parts, part_bytes }: Upload, index: number) => {
      const start = index * part_bytes;
      const bytes = content.subarray(start, start + part_bytes);
      const answer = await fetch(String(parts[index]?.url), { method: 'PUT', body: bytes });
      assert.equal(answer.status, 200);
    };
    const route = `/v1/uploads/${begun.upload_id}`;
    await put(begun, 0);
    const early = await ask('POST', `${route}/complete`);
    assert.equal(early.status, 409);
    assert.match(JSON.stringify(early.body), /upload_incomplete.*: 2"/);
    const { body: resumed } = await ask('GET', route);
    assert.deepEqual(
      resumed.parts.map(({ there }) => there),
      [true, false],
    );
    await put(resumed, 1);
    for (let time = 0; time < 2; time++) {
      const { body: whole } = await ask('POST', `${route}/complete`);
      assert.equal(whole.complete, true, JSON.stringify(whole));
    }
    const order = { upload_id: begun.upload_id, output: 'frames', to: 5 };
    const taken = await ask('POST', '/v1/renders', order);
    assert.equal(taken.status, 202, JSON.stringify(taken.body));
    assert.equal((await client.finished(begun.upload_id)).status, 'completed');
    await clientUploads(client, new Blob([content]), begun.upload_id);
    const { body: other } = await ask('POST', '/v1/uploads', { bytes: 100 });
    assert.equal((await ask('DELETE', `/v1/uploads/${other.upload_id}`)).status, 204);
    assert.equal((await ask('GET', `/v1/uploads/${other.upload_id}`)).status, 404);
  }

  /** The client leaves after the first part of a sound, goes on with the others, and renders it as `sameId` was. */
  async function clientUploads(client: NodeFarmClient, sound: Blob, sameId: string): Promise<void> {
    const leaving = new AbortController();
    let uploadId = '';
    const onProgress = ({ upload_id }: { upload_id: string }, bytesThere: number) => {
      uploadId = upload_id;
      if (bytesThere > 0) leaving.abort(new Error('left'));
    };
    await assert.rejects(client.uploads.put(sound, { fileName: 'long.wav', onProgress, signal: leaving.signal }), {
      message: 'left',
    });
    assert.ok((await client.uploads.get(uploadId)).parts.some(({ there }) => there));
    const other = sound.slice(1);
    await assert.rejects(client.uploads.put(other, { uploadId }), { code: 'request_invalid' });
    const uploaded = await client.uploads.put(sound, { uploadId });
    const { id, file_name } = await client.submit(uploaded, { output: 'frames', to: 5 });
    assert.deepEqual([id, file_name], [uploadId, 'long.wav']);
    await client.finished(id);
    assert.deepEqual(await client.frame(id, 4), await client.frame(sameId, 4));
  }

  /** Hashes of a video, of frames, and of frames that show own footage. */
  async function rendersOf(client: NodeFarmClient): Promise<string[]> {
    const { video, rects } = await writeFootage(folder);
    const footage = await footageOf(video, rects, 'bounce');
    const hashes = [await videoHash(client, (await client.submit(speech)).id)];
    for (const more of [{}, { footage }]) {
      const { id } = await client.submit(speech, { output: 'frames', ...more });
      const { status, error } = await client.finished(id);
      assert.equal(status, 'completed', JSON.stringify(error));
      const hash = createHash('sha256');
      for (let frame = 0; frame < FRAMES; frame++) hash.update(await client.frame(id, frame));
      hashes.push(hash.digest('hex'));
      await client.picture(id, 'contact-sheet');
    }
    return hashes;
  }
});
