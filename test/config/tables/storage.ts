import assert from 'node:assert/strict';
import path from 'node:path';
import { Bucket } from '../../../shared/s3/bucket.ts';
import { decodeFrames } from '../../support/ffprobe.ts';
import { type S3Farm, startS3Farm } from '../../support/s3-farm.ts';
import { startS3 } from '../../support/s3-server.ts';
import { SMALL_PICTURE } from '../../support/small-avatar.ts';
import { until } from '../../support/until.ts';
import type { KeyFarm } from '../key-farm.ts';
import type { KeyTable } from '../key-table.ts';

/** A farm whose files are in a bucket, each of whose processes has a disk of its own. */

const REGION = 'eu-somewhere-1';
const PREFIX = 'of/this/farm';
const FRAMES = 10;

interface Bench {
  readonly farm: KeyFarm;
  readonly s3: S3Farm;
  readonly endpoint: string;
  /** Keys of all objects in the bucket. */
  readonly keys: () => Promise<string[]>;
  /** A video of `FRAMES`, of two segments. */
  readonly id: string;
}

async function start(farm: KeyFarm): Promise<Bench> {
  const server = await startS3();
  farm.others.defer(() => server.close());
  const settings = { ...server.settings, region: REGION, prefix: PREFIX, path_style: true };
  const s3 = await startS3Farm(settings, { render: { segment_frames: 5 }, storage: { redirect: true } }, farm);
  farm.others.use(s3);
  const whole = new Bucket({ ...settings, prefix: '' });
  const keys = async () => {
    const found: string[] = [];
    for await (const { key } of whole.list('')) found.push(key);
    return found;
  };
  const { id } = await farm.client.submit(await farm.speech(FRAMES / 25));
  return { farm, s3, endpoint: settings.endpoint, keys, id };
}

const addressOf = async ({ farm, id }: Bench) => {
  const answer = await fetch(`${farm.url}/v1/renders/${id}/video`, { redirect: 'manual' });
  assert.equal(answer.status, 307);
  return new URL(answer.headers.get('location') ?? '');
};

export const storageKeys: KeyTable<Bench> = {
  title: 'keys of the storage',
  start,
  checks: {
    'storage.s3.endpoint storage.s3.bucket storage.s3.prefix': async (bench) => {
      const { farm, s3, keys, id } = bench;
      assert.equal((await farm.client.finished(id)).status, 'completed');
      await until('what it was made from is removed', async () => !/segments|audio|upload/.test((await keys()).join()));
      const found = await keys();
      for (const key of ['farm.id', `renders/${id}/video.mp4`]) assert.ok(found.includes(`${PREFIX}/${key}`), key);
      assert.deepEqual(
        found.filter((key) => !key.startsWith(`${PREFIX}/`)),
        [],
      );
      assert.doesNotMatch((await s3.onDisks()).join(), /work\/|renders|farm\.id/, 'nothing is kept on a disk');
    },
    'storage.redirect': async (bench) => {
      const { farm, endpoint, id } = bench;
      assert.equal((await addressOf(bench)).origin, endpoint);
      const video = path.join(farm.folder, 'video.mp4');
      await farm.client.saveVideo(id, video);
      assert.equal((await decodeFrames(video, SMALL_PICTURE.width, SMALL_PICTURE.height)).length, FRAMES);
      const range = await fetch(`${farm.url}/v1/renders/${id}/video`, { headers: { range: 'bytes=4-7' } });
      assert.equal(await range.text(), 'ftyp');
      assert.equal(range.headers.get('content-disposition'), `inline; filename="${id}.mp4"`);
      const page = await fetch(farm.url, { headers: { accept: 'text/html' } });
      assert.ok(page.headers.get('content-security-policy')?.includes(`media-src 'self' blob: ${endpoint}`));
    },
    'storage.s3.region': async (bench) => {
      assert.match((await addressOf(bench)).searchParams.get('X-Amz-Credential') ?? '', new RegExp(`/${REGION}/s3/`));
    },
    'storage.s3.path_style': async (bench) => {
      assert.equal((await addressOf(bench)).pathname, `/farm/${PREFIX}/renders/${bench.id}/video.mp4`);
    },
  },
};
