import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Bucket } from '../../shared/s3/bucket.ts';
import { FileServer, tarOf } from '../model-files/file-server.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { videoHash } from '../support/result-files.ts';
import { startS3 } from '../support/s3-server.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** GPU hosts that have a configuration and nothing else. */

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-by-address-'));
after(async () => await rm(folder, { recursive: true, force: true }));
const sound = path.join(folder, 'sound.wav');
await writeWav(sound, syllables(3));

/** Names and contents of an entry's pictures. */
async function picturesOf({ background_dir }: typeof DEMO_MODEL): Promise<Record<string, Buffer>> {
  const names = await readdir(background_dir);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(path.join(background_dir, name))] as const)),
  );
}

async function videoOf({ client }: TestFarm): Promise<string> {
  const { id } = await client.submit(sound, { modelId: 'demo' });
  return await videoHash(client, id);
}

/** Serves the files of an entry. @returns its entry by address. */
async function serve(server: FileServer, model: typeof DEMO_MODEL) {
  server.files.set('/frames.tar', tarOf(await picturesOf(model)));
  for (const key of ['model_path', 'audio_encoder_path', 'crop_rects_path'] as const) {
    server.files.set(`/${path.basename(model[key])}`, await readFile(model[key]));
  }
  const at = (file: string) => `${server.origin}/${path.basename(file)}`;
  return {
    model_path: at(model.model_path),
    audio_encoder_path: at(model.audio_encoder_path),
    crop_rects_path: at(model.crop_rects_path),
    background_dir: `${server.origin}/frames.tar`,
  };
}

describe('a GPU host with the configuration and nothing else', () => {
  it('renders the same bytes as with local files: from https, and from a bucket', async (t) => {
    const keys = [
      '-keyout',
      path.join(folder, 'key.pem'),
      '-out',
      path.join(folder, 'cert.pem'),
      '-nodes',
      '-days',
      '2',
    ];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    try {
      await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', ...keys, ...subject]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return t.skip('skipped: openssl cannot be had here');
      throw error;
    }
    const local = await startFarm();
    const expected = await videoOf(local).finally(() => local[Symbol.asyncDispose]());

    process.env.NODE_EXTRA_CA_CERTS = path.join(folder, 'cert.pem');
    t.after(() => delete process.env.NODE_EXTRA_CA_CERTS);
    const [key, cert] = await Promise.all(
      ['key.pem', 'cert.pem'].map((name) => readFile(path.join(folder, name), 'utf8')),
    );
    await using server = await FileServer.start(0, { key: key ?? '', cert: cert ?? '' });
    const models = { demo: await serve(server, DEMO_MODEL) };
    const from = { hosts: [`localhost:${server.port}`], networks: ['127.0.0.1'] };
    await using remote = await startFarm({ models, models_from: from, gpus: { count: 2 } });
    assert.equal(await videoOf(remote), expected);
    const whole = server.requests.filter(({ status }) => status === 200).map((request) => request.path);
    assert.deepEqual(whole.sort(), [...server.files.keys()].sort(), 'each once for all processes of the host');
    await remote[Symbol.asyncDispose]();

    const s3 = await startS3('weights');
    t.after(() => s3.close());
    const bucket = new Bucket({ ...s3.settings, prefix: '' });
    for (const [name, body] of server.files) if (!name.endsWith('.tar')) await bucket.put(`demo${name}`, body);
    for (const [name, body] of Object.entries(await picturesOf(DEMO_MODEL)))
      await bucket.put(`demo/frames/${name}`, body);
    const inBucket = Object.fromEntries(
      Object.entries(models.demo).map(([name, address]) => [name, `s3://weights/demo/${path.basename(address)}`]),
    );
    const demo = { ...inBucket, background_dir: 's3://weights/demo/frames/' };
    await using stored = await startFarm({
      ...{ models: { demo }, models_from: { buckets: ['weights'] } },
      storage: { s3: { endpoint: s3.settings.endpoint } },
    });
    assert.equal(await videoOf(stored), expected);
  });

  it('waits for a server that is away, says so, and shows how far a fetch is', async () => {
    await buildSmallAvatar();
    const first = await FileServer.start();
    const demo = await serve(first, SMALL_MODEL);
    const { files, port, origin } = first;
    await first.stop();
    const from = { hosts: [origin], networks: ['127.0.0.1'] };
    await using farm = await startFarm({ models: { demo: { ...demo, frames_per_second: 25 } }, models_from: from });
    const fetching = async () => (await farm.client.gpus()).gpus[0]?.models[0]?.fetching;
    await until('the worker has said why', async () =>
      /could not be asked|could not be read/.test((await fetching())?.fault ?? ''),
    );
    await assert.rejects(farm.client.submit(sound, { modelId: 'demo' }), { code: 'model_unreachable' });

    await using server = await FileServer.start(port);
    for (const [name, body] of files) server.files.set(name, body);
    await until('a render is taken', async () => {
      const taken = await videoOf(farm).catch((error: { code?: string }) => error);
      if (typeof taken !== 'string') assert.equal(taken.code, 'model_unreachable');
      return typeof taken === 'string';
    });
    assert.equal(await fetching(), null);
    assert.deepEqual((await farm.client.models()).models[0]?.fetching_on, []);
  });

  it('is refused by name when its bytes are not those that the configuration says, or those of the others', async () => {
    await buildSmallAvatar();
    await using server = await FileServer.start();
    const demo = await serve(server, SMALL_MODEL);
    const wrong = { ...demo, model_path: `${demo.model_path}#sha256=${'0'.repeat(64)}` };
    const unlisted = { ...demo, crop_rects_path: 'https://elsewhere.example.com/rects.json' };
    await using farm = await startFarm({
      models: { demo, wrong, unlisted },
      models_from: { hosts: [server.origin], networks: ['127.0.0.1'] },
    });
    const problemsOf = async (modelId: string) =>
      (await farm.client.models()).models.find(({ id }) => id === modelId)?.problems.join() ?? '';
    await until('what came was compared', async () =>
      /^model_hash_differs: model_path: http.* expects 0{64}/.test(await problemsOf('wrong')),
    );
    assert.match(
      await problemsOf('unlisted'),
      /^crop_rects_path: https:\/\/elsewhere.* models_from\.hosts does not list/,
    );
    await assert.rejects(farm.client.submit(sound, { modelId: 'unlisted' }), { code: 'model_unusable' });
    // The third works all the same.
    await videoOf(farm);
  });
});
