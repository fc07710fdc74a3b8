import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import { firstSampleNeeded, firstSampleNeededToEnd, samplesUntilReady } from '../../api/live/audio-context.ts';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { type LivePayload, liveAliveKey } from '../../shared/live/live-payload.ts';
import { frameChannelKey } from '../../shared/live/redis-channel.ts';
import { decodeAudio } from '../../worker/media/decode-audio.ts';
import { type LiveAnswer, LiveRequests, summaryOf } from '../engine/live-requests.ts';
import type { TestFarm } from '../support/farm.ts';
import { framesOf } from '../support/result-files.ts';
import { SMALL_FACE, SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { visualFrames } from '../support/visual-frames.ts';

const SECONDS = 3;
const FEATURE_BYTES = 8192 * 4;
const VISUAL_BYTES = 6 * 160 * 160 * 4;

/** On the farm of `live-work.test.ts`, whose model `broken` cannot be loaded. */
export function describeLiveFrames(farm: TestFarm): void {
  describe('frames of live jobs', () => {
    let live: LiveRequests;
    /** The sound as the farm decoded it, float32. */
    let sound: Buffer;
    /** The frames of a whole render of it. */
    const whole: Buffer[] = [];

    before(async () => {
      live = new LiveRequests(farm.farm.redisUrl);
      const speech = path.join(farm.folder, 'speech.wav');
      await writeWav(speech, syllables(SECONDS));
      const { id } = await farm.client.submit(speech, { modelId: 'small', output: 'frames' });
      await farm.client.finished(id);
      whole.push(...(await framesOf(farm, id)));
      const decoded = path.join(farm.folder, 'speech.f32');
      await decodeAudio(speech, { mouth: decoded }, SECONDS + 1, new AbortController().signal);
      sound = await readFile(decoded);
    });
    after(async () => {
      await live[Symbol.asyncDispose]();
    });

    /** Asks for frames with no more of the sound than they depend on. */
    async function askFor(start: number, end: number, changes: Partial<LiveJob> = {}): Promise<LiveAnswer> {
      const totalSamples = sound.length / 4;
      const { rowsAhead = 7, frameRate } = changes;
      const heard = { rowsAhead, frameRate };
      const until = Math.min(samplesUntilReady(end - 1, heard), totalSamples);
      const toEnd = until === totalSamples;
      const firstSample = toEnd ? firstSampleNeededToEnd(start, totalSamples, heard) : firstSampleNeeded(start, heard);
      const job = live.job({ frames: { start, end }, totalSamples, firstSample, ...changes });
      return await live.ask(job, { audio: sound.subarray(firstSample * 4, until * 4) });
    }

    it('are those of a whole render, wherever its sound is cut', async () => {
      const cuts = [0, 1, 2, 25, 26, 58, 74, 75];
      for (let i = 0; i + 1 < cuts.length; i++) {
        const [start = 0, end = 0] = cuts.slice(i, i + 2);
        const answer = await askFor(start, end);
        assert.equal(answer.end.type, 'done', JSON.stringify(answer.end));
        assert.deepEqual(
          [...answer.frames.keys()],
          Array.from({ length: end - start }, (_, place) => start + place),
        );
        for (const [index, jpeg] of answer.frames) assert.ok(jpeg.equals(whole[index] as Buffer), `frame ${index}`);
      }
    });

    it('are at 20 frames a second those of such a render, which are those of the same moments at 25', async () => {
      const { id } = await farm.client.submit(path.join(farm.folder, 'speech.wav'), {
        ...{ modelId: 'small', output: 'frames', fps: 20 },
      });
      const { frames, fps } = await farm.client.finished(id);
      assert.deepEqual([frames.total, fps], [20 * SECONDS, 20]);
      const cuts = [0, 1, 17, 44, 60];
      for (const [at, start] of cuts.slice(0, -1).entries()) {
        const answer = await askFor(start, cuts[at + 1] as number, { frameRate: 20, format: 5 });
        assert.equal(answer.end.type, 'done', JSON.stringify(answer.end));
        for (const [index, jpeg] of answer.frames) {
          assert.ok(jpeg.equals(Buffer.from(await farm.client.frame(id, index))), `frame ${index}`);
          assert.ok(jpeg.equals(whole[Math.floor(index * 1.25)] as Buffer), `frame ${index} of its moment`);
        }
      }
    });

    it('come with the worker that took the job and where the time went', async () => {
      const answer = await askFor(10, 12);
      assert.equal(answer.taken, 0);
      const { gpuId, modelWasLoaded, modelLoadMs, audioMs, inferenceMs, compositeMs } = summaryOf(answer);
      assert.deepEqual([gpuId, modelWasLoaded, modelLoadMs], [0, true, 0]);
      for (const ms of [audioMs, inferenceMs, compositeMs]) assert.ok(ms > 0);
    });

    it('need less sound when they hear fewer rows ahead', async () => {
      const answer = await askFor(30, 34, { rowsAhead: 2 });
      assert.deepEqual([...answer.frames.keys()], [30, 31, 32, 33]);
      assert.equal(answer.end.type, 'done');
    });

    it('do not depend on the rest of a sound that goes on', async () => {
      const until = samplesUntilReady(20, { rowsAhead: 7 });
      const job = live.job({ frames: { start: 18, end: 21 }, totalSamples: until });
      const { frames } = await live.ask(job, { audio: sound.subarray(0, until * 4) });
      assert.deepEqual([...frames.values()], whole.slice(18, 21));
    });

    it('come as raw RGB when asked for', async () => {
      const raw = (await askFor(40, 42, { output: 'raw' })).frames.get(41) as Buffer;
      assert.equal(raw.length, SMALL_PICTURE.width * SMALL_PICTURE.height * 3);
      const jpeg = await sharp(raw, { raw: { ...SMALL_PICTURE, channels: 3 } })
        .jpeg({ quality: 75, optimiseCoding: false })
        .toBuffer();
      // The farm encodes only the mouth's area: other bytes, and the very same pixels.
      const [fromRaw, fromFarm] = await Promise.all(
        [jpeg, whole[41] as Buffer].map((file) => sharp(file).raw().toBuffer()),
      );
      assert.ok(fromRaw?.equals(fromFarm as Buffer));
    });

    it('hear features instead of sound when they are given', async () => {
      const silent = await live.ask(live.job({ frames: { start: 3, end: 5 } }), {
        audioFeatures: Buffer.alloc(FEATURE_BYTES),
      });
      const loud = await live.ask(live.job({ frames: { start: 3, end: 5 } }), {
        audioFeatures: Buffer.from(new Float32Array(8192).fill(0.8).buffer),
      });
      assert.deepEqual([...silent.frames.keys()], [3, 4]);
      assert.notDeepEqual(silent.frames.get(3), loud.frames.get(3));
      // Without sound and features there is nothing to hear: the same as features of zero.
      const nothing = await live.ask(live.job({ frames: { start: 3, end: 5 } }));
      assert.deepEqual([...nothing.frames.values()], [...silent.frames.values()]);
    });

    it('see given pictures instead of the avatar’s, on the avatar’s own background', async () => {
      const own = await live.ask(live.job({ frames: { start: 0, end: 2 }, output: 'raw' }));
      const given = await live.ask(live.job({ frames: { start: 0, end: 2 }, output: 'raw' }), {
        visualFrames: Buffer.alloc(2 * VISUAL_BYTES),
      });
      const [before, now] = [own.frames.get(1) as Buffer, given.frames.get(1) as Buffer];
      const changed = [...before.keys()].filter((at) => before[at] !== now[at]);
      assert.ok(changed.length > 1000, `${changed.length} values of the face are others`);
      assert.deepEqual(
        changed.filter((at) => !isInFace(at)),
        [],
        'the background is the same',
      );
    });

    for (const form of ['crops', 'planes'] as const) {
      it(`are the same, whether given pictures come as floats or as ${form}`, async () => {
        const { floats, [form]: packed } = visualFrames(2);
        const ask = async (payload: Partial<LivePayload>) =>
          await live.ask(live.job({ frames: { start: 0, end: 2 }, output: 'raw' }), payload);
        const expected = await ask({ visualFrames: floats });
        assert.equal(expected.frames.size, 2);
        assert.deepEqual((await ask({ visualFrames: packed, visualForm: form })).frames, expected.frames);
      });
    }

    const refused: [string, Partial<LivePayload>, RegExp][] = [
      [
        'visual frames',
        { visualFrames: Buffer.alloc(100) },
        /visual_frames has 100 bytes, expected 1228800 \(2 frames/,
      ],
      [
        'packed visual frames',
        { visualFrames: Buffer.alloc(3 * 64 * 64), visualForm: 'crops' },
        /visual_frames has 98304 bytes, expected 1228800 \(2 frames/,
      ],
      ['features', { audioFeatures: Buffer.alloc(8) }, /audio_features has 8 bytes, expected 32768/],
      ['sound', { audio: Buffer.alloc(7) }, /audio has 7 bytes, expected a multiple of 4/],
    ];
    for (const [what, payload, message] of refused) {
      it(`are refused, with the sizes, when the given ${what} cannot be right`, async () => {
        const { end, frames } = await live.ask(live.job({ frames: { start: 0, end: 2 }, totalSamples: 1 }), payload);
        assert.ok(end.type === 'failed' && end.error.code === 'request_invalid', JSON.stringify(end));
        assert.match(end.error.message, message);
        assert.equal(frames.size, 0);
      });
    }

    it('fail, naming both ranges, when the piece of sound is too short for them', async () => {
      const job = live.job({ frames: { start: 20, end: 21 }, totalSamples: 48_000, firstSample: 7000 });
      const { end } = await live.ask(job, { audio: Buffer.alloc(400) });
      assert.ok(end.type === 'failed' && end.error.code === 'internal');
      assert.match(end.error.message, /\[\d+, \d+\) are needed, but the piece has \[7000, 7100\)/);
    });

    it('fail for a model that is not configured, once and for all', async () => {
      const job = live.job({ modelId: 'nobody' });
      const { end } = await live.ask(job);
      assert.ok(end.type === 'failed' && end.error.code === 'model_unknown', JSON.stringify(end));
      assert.match(end.error.message, /nobody/);
    });

    it('fail for a model that turns out to be unusable, with what is wrong with it', async () => {
      const { end } = await live.ask(live.job({ modelId: 'broken' }));
      assert.ok(end.type === 'failed' && end.error.code === 'model_unusable', JSON.stringify(end));
      assert.match(end.error.message, /audio_encoder\.onnx.*input/s);
    });

    it('are made whatever the clock of the front end says', async () => {
      const fiveMinutesBehind = live.job({ expiresAtMs: Date.now() - 5 * 60_000, waitMs: 10_000 });
      assert.equal((await live.ask(fiveMinutesBehind)).end.type, 'done');
    });

    it('are not made for a job whose payload is gone', async () => {
      const without = live.job();
      await live.add(without);
      const behind = live.job();
      // Jobs are taken in order: when this one has been answered the others have been looked at.
      assert.equal((await live.ask(behind)).end.type, 'done');
      assert.equal(await live.redis.exists(frameChannelKey(without.requestId)), 0);
      assert.equal(await live.redis.exists(liveAliveKey(without.requestId)), 0);
    });

    it('are not made by an attempt that a later one has overtaken', async () => {
      const job = live.job();
      const second = { ...job, attempt: 2 };
      assert.equal((await live.ask(second)).end.type, 'done');
      await live.redis.set(liveAliveKey(job.requestId), '3');
      await live.add(job);
      assert.equal((await live.ask(live.job())).end.type, 'done');
      const attempts = await live.redis.xrange(frameChannelKey(job.requestId), '-', '+');
      assert.ok(attempts.every(([id]) => id.startsWith('2-')));
      assert.equal(await live.redis.get(liveAliveKey(job.requestId)), '3');
    });
  });
}

/** Whether a value of a raw picture belongs to a pixel of the face. */
function isInFace(at: number): boolean {
  const [x, y] = [Math.floor(at / 3) % SMALL_PICTURE.width, Math.floor(at / 3 / SMALL_PICTURE.width)];
  const { x1, y1, x2, y2 } = SMALL_FACE;
  return x >= x1 && x < x2 && y >= y1 && y < y2;
}
