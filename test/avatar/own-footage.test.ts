import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { configSchema } from '../../shared/config/schema.ts';
import { DiskReserve } from '../../shared/files/disk-reserve.ts';
import { readyFootage } from '../../worker/avatar/own-footage.ts';
import { FOOTAGE_FRAMES, writeFootage } from '../support/footage.ts';
import { until } from '../support/until.ts';

const NEVER = new AbortController().signal;
const RENDER = 'r0-footage';
const { limits } = configSchema.parse({});
const sums = { videoSha256: 'abc', marksSha256: 'def' };
const footage = { ...sums, fileName: 'me.mp4', marks: 'rects', syncMode: 'cut' } as const;

describe('the footage of a render', () => {
  let root = '';
  let artifacts: LocalArtifacts;
  const place = (keyOf: (renderId: string) => string) => artifacts.localPath(keyOf(RENDER));
  const ready = async (store = artifacts, signal = NEVER) => {
    const tools = { config: { limits } as never, artifacts: store, disk: new DiskReserve(root, 0) };
    return await readyFootage(tools, { renderId: RENDER, request: { footage } }, signal);
  };
  const picture = (index: number) =>
    path.join(place(artifactKeys.footagePictures), `frame_${String(index).padStart(6, '0')}.jpg`);

  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'farm-own-footage-'));
    artifacts = new LocalArtifacts(root);
    const files = await writeFootage(root);
    await mkdir(place(artifactKeys.folder), { recursive: true });
    await copyFile(files.video, place(artifactKeys.footageVideo));
    await copyFile(files.rects, place(artifactKeys.footageMarks));
  });
  after(async () => await rm(root, { recursive: true, force: true }));

  it('is extracted once, and again when some of it is gone', async () => {
    assert.equal(await ready(), FOOTAGE_FRAMES);
    const { mtimeMs } = await stat(picture(0));
    assert.equal(await ready(), FOOTAGE_FRAMES);
    assert.equal((await stat(picture(0))).mtimeMs, mtimeMs, 'it was there');
    await rm(picture(5));
    assert.equal(await ready(), FOOTAGE_FRAMES);
    assert.ok((await stat(picture(5))).isFile());
  });

  it('stays as another job has made it meanwhile, whatever becomes of the first one', async () => {
    for (const ends of [true, false]) {
      await artifacts.remove(artifactKeys.footageFolder(RENDER));
      const lost = new AbortController();
      let isStopped = false;
      // The job stands still as its host is cut off, and goes on when another one is done.
      class Slow extends LocalArtifacts {
        override async publishFolder<T>(key: string, write: (folder: string) => Promise<T>): Promise<T> {
          isStopped = true;
          await until(
            'the other job is done',
            async () => (await artifacts.size(artifactKeys.footageRects(RENDER))) !== undefined,
          );
          if (ends) lost.abort(new Error('the lock is lost'));
          return await super.publishFolder(key, write);
        }
      }
      const late = ready(new Slow(root), lost.signal).catch(() => 0);
      await until('the first job extracts', () => isStopped);
      assert.equal(await ready(), FOOTAGE_FRAMES);
      await late;
      assert.ok((await stat(picture(0))).isFile());
      assert.equal(await ready(), FOOTAGE_FRAMES);
    }
  });

  it('leaves no pictures behind when it cannot be used', async () => {
    await rm(place(artifactKeys.footageRects));
    const outside = Array.from({ length: FOOTAGE_FRAMES }, (_, frame) => [60, 40, 90 + frame, 70]);
    await writeFile(place(artifactKeys.footageMarks), JSON.stringify(outside));
    await assert.rejects(ready(), { code: 'landmarks_unusable', message: /^crop rect 7 in rects .* 96×80/ });
    assert.ok(!(await readdir(place(artifactKeys.folder))).includes('footage'));
  });

  it('cannot be made without what was uploaded', async () => {
    await rm(place(artifactKeys.footageVideo));
    await assert.rejects(ready(), { code: 'render_not_resumable' });
  });
});
