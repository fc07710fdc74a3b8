import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { footageOf } from '../../client/node/footage.ts';
import { Bucket } from '../../shared/s3/bucket.ts';
import { decodeFrames } from '../support/ffprobe.ts';
import { writeFootage } from '../support/footage.ts';
import { type S3Farm, startS3Farm } from '../support/s3-farm.ts';
import { startS3 } from '../support/s3-server.ts';
import { SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const FRAMES = 50;

describe('a farm whose files are in a bucket', () => {
  let server: Awaited<ReturnType<typeof startS3>>;
  let farm: S3Farm;
  let bucket: Bucket;
  let folder = '';
  let speech = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-test-in-bucket-'));
    speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(FRAMES / 25));
    server = await startS3();
    bucket = new Bucket(server.settings);
    farm = await startS3Farm(server.settings, { gpus: { count: 2 }, render: { segment_frames: 10 } });
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  const keys = async () => {
    const found: string[] = [];
    for await (const { key } of bucket.list('')) found.push(key);
    return found;
  };

  it('makes a video of what several hosts have rendered, and keeps nothing on their disks', async () => {
    const { id } = await farm.client.submit(speech);
    const view = await farm.client.finished(id);
    assert.equal(view.status, 'completed');
    const receipt = await farm.client.receipt(id);
    assert.equal(new Set(receipt.segments.map(({ gpu }) => gpu)).size, 2);
    const video = path.join(folder, 'video.mp4');
    await farm.client.saveVideo(id, video);
    assert.equal((await decodeFrames(video, SMALL_PICTURE.width, SMALL_PICTURE.height)).length, FRAMES);
    const range = await fetch(`${farm.url}/v1/renders/${id}/video`, { headers: { range: 'bytes=4-7' } });
    assert.equal(await range.text(), 'ftyp');
    await until(
      'what it was made from is removed',
      async () => !(await keys()).some((key) => /segments|audio|upload/.test(key)),
    );
    assert.deepEqual(
      await farm.onDisks().then((names) => names.filter((name) => /work.|renders|farm.id/.test(name))),
      [],
    );
    await farm.client.remove(id);
    assert.deepEqual(
      (await keys()).filter((key) => key.startsWith('renders/')),
      [],
    );
  });

  it('shows own footage, and gives single frames', async () => {
    const footage = await writeFootage(folder);
    const { id } = await farm.client.submit(speech, {
      output: 'frames',
      footage: await footageOf(footage.video, footage.rects, 'bounce'),
    });
    const view = await farm.client.finished(id);
    assert.equal(view.status, 'completed', JSON.stringify(view.error));
    assert.ok((await farm.client.frame(id, FRAMES - 1)).length > 500);
    await writeFile(path.join(folder, 'sheet.jpg'), await farm.client.picture(id, 'contact-sheet'));
  });
});
