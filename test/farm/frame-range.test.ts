import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Estimate } from '../../shared/views/estimate-view.ts';
import type { Receipt, RenderView } from '../../shared/views/render-view.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { decodeSound, inspectVideo } from '../support/ffprobe.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

const SECONDS = 3;

/** Renders of a part of the frames, from the form to what is fetched. */
describe('a render of a range of frames', () => {
  let farm: TestFarm;
  let wav: Blob;

  before(async () => {
    farm = await startFarm({ models: { small: SMALL_MODEL }, render: { segment_frames: 20 } });
    const file = path.join(farm.folder, 'upload.wav');
    await writeWav(file, syllables(SECONDS));
    wav = new Blob([await readFile(file)]);
  });
  after(() => farm[Symbol.asyncDispose]());

  async function render(fields: Record<string, string>): Promise<RenderView> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    form.set('audio', wav, 'upload.wav');
    const answer = await fetch(`${farm.url}/v1/renders`, { method: 'POST', body: form });
    assert.equal(answer.status, 202);
    return await farm.client.finished(((await answer.json()) as RenderView).id);
  }
  const receiptOf = async ({ id }: RenderView): Promise<Receipt> => await farm.client.receipt(id);

  it('has the bytes of the whole render in each of its frames, under their own numbers', async () => {
    const [whole, part] = await Promise.all([
      render({ output: 'frames', start_frame: '3' }),
      render({ output: 'frames', start_frame: '3', from: '13', to: '58' }),
    ]);
    assert.deepEqual(part.frames, { done: 45, total: 45, repeating: 0 });
    assert.deepEqual(part.range, { from: 13, to: 58 });
    for (let frame = 13; frame < 58; frame++) {
      const [own, same] = [await farm.client.frame(part.id, frame), await farm.client.frame(whole.id, frame)];
      assert.ok(own.equals(same), `frame ${frame}`);
    }
    for (const outside of [12, 58]) {
      await assert.rejects(farm.client.frame(part.id, outside), { code: 'frame_unknown', message: /13 to 57/ });
    }
    const receipt = await receiptOf(part);
    assert.deepEqual([receipt.frames, receipt.range], [45, { from: 13, to: 58, of: 75 }]);
    assert.deepEqual(
      receipt.segments.map(({ frames }) => [frames.start, frames.end]),
      [
        [13, 33],
        [33, 53],
        [53, 58],
      ],
    );
  });

  it('is a clip with the sound of that part', async () => {
    const [whole, part] = await Promise.all([render({}), render({ from: '25', to: '1000' })]);
    assert.deepEqual([part.range, part.frames.total], [{ from: 25, to: 75 }, 50]);
    const [all, clip] = [path.join(farm.folder, 'all.mp4'), path.join(farm.folder, 'clip.mp4')];
    await farm.client.saveVideo(whole.id, all);
    await farm.client.saveVideo(part.id, clip);
    assert.equal((await inspectVideo(clip)).videoTimes.length, 50);
    const [before, after] = [await decodeSound(all), await decodeSound(clip)];
    // AAC is lossy: compared is how alike both are from the first second on.
    let [same, power] = [0, 0];
    for (let at = 4000; at < after.length - 4000; at++) {
      same += ((after[at] ?? 0) - (before[at + 16_000] ?? 0)) ** 2;
      power += (before[at + 16_000] ?? 0) ** 2;
    }
    assert.ok(same < 0.01 * power, `${same} of ${power} differ`);
    assert.equal((await receiptOf(part)).video?.seconds, 2);
  });

  it('was estimated before, from what the GPU has measured', async () => {
    const body = JSON.stringify({ audio_seconds: SECONDS, from: 13, to: 58 });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${farm.url}/v1/renders/estimate`, { method: 'POST', headers, body });
    const { frames, gpus, ...times } = (await answer.json()) as Estimate;
    assert.deepEqual([frames, gpus], [45, 1]);
    const [frameMs = 0] = (await farm.client.gpus()).gpus.flatMap(({ models }) => models.map((one) => one.frame_ms));
    assert.ok(Math.abs((times.gpu_seconds ?? 0) - (45 * (frameMs ?? 0)) / 1000) < 0.02, JSON.stringify(times));
    assert.ok((times.finish_seconds ?? 0) >= (times.queue_seconds ?? -1) + (times.gpu_seconds ?? 0) - 0.02);
  });

  it('fails when it lies behind the end of the sound', async () => {
    await assert.rejects(render({ from: '75' }), { code: 'request_invalid', message: /frame 75, .* 0 to 74/ });
  });
});
