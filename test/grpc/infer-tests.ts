import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import sharp from 'sharp';
import type { CompositeBatchRequest, CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import type { TestFarm } from '../support/farm.ts';
import { faceBrightness } from '../support/small-avatar.ts';
import { type CallSettings, failureOf, MONOLITHIC, TestClient } from './clients.ts';
import { differences, f32, renderedFrames, speech } from './speech.ts';

const SECONDS = 1.5;
const FEATURE_FLOATS = 8192;
/** Of a frame's network input: the small avatar's, and the demo avatar's. */
const SMALL_FLOATS = 6 * 160 * 160;
const DEMO_FLOATS = 6 * 320 * 320;
const FAR_START = 100_007;

/** Tests of `InferBatchComposite` on the farm of `farm-calls.test.ts`; nobody has loaded its model `other` yet. */
export function describeInfer(farm: TestFarm): void {
  describe('InferBatchComposite', () => {
    let client: TestClient;
    let expected: Buffer[];
    const sound = f32(speech(SECONDS));

    const infer = (fields: Partial<CompositeBatchRequest>, settings?: CallSettings) =>
      client.unary<CompositeBatchResponse>(
        MONOLITHIC,
        'InferBatchComposite',
        { model_id: 'small', batch_size: 1, raw_audio: sound, sample_rate: 16_000, ...fields },
        settings,
      );
    const frames = async (fields: Partial<CompositeBatchRequest>) => {
      const { success, error, composited_frames } = await infer(fields);
      assert.ok(success, error);
      return [...composited_frames];
    };

    before(async () => {
      client = new TestClient(farm.grpcAddress);
      expected = await renderedFrames(farm, SECONDS, { modelId: 'small' });
    });
    after(() => client.close());

    it('loads a model that is not loaded yet, and says so', async () => {
      const first = await infer({ model_id: 'other' });
      assert.equal(first.success, true, first.error);
      assert.equal(first.model_loaded, false);
      assert.ok(first.model_load_time_ms > 0);
      const second = await infer({ model_id: 'other' });
      assert.equal(second.model_loaded, true);
      assert.equal(second.model_load_time_ms, 0);
      assert.deepEqual(second.composited_frames, first.composited_frames);
    });

    for (const batch_size of [1, 8, 24, 25, 32]) {
      it(`gives ${batch_size} frames, the same as a whole render`, async () => {
        assert.deepEqual(differences(await frames({ batch_size }), expected.slice(0, batch_size)), []);
      });
    }

    it('says how long the parts took, and on which GPU', async () => {
      const answer = await infer({ batch_size: 4 });
      const { inference_time_ms, composite_time_ms, audio_processing_ms, total_time_ms } = answer;
      for (const time of [inference_time_ms, composite_time_ms, audio_processing_ms]) assert.ok(time > 0);
      assert.ok(total_time_ms >= inference_time_ms);
      assert.equal(answer.gpu_id, 0);
    });

    for (const sample_rate of [8000, 22_050, 44_100, 48_000]) {
      it(`takes sound at ${sample_rate} samples a second, and moves the mouth as at 16000`, async () => {
        const got = await frames({ batch_size: 25, raw_audio: f32(speech(SECONDS, sample_rate)), sample_rate });
        assert.equal(got.length, 25);
        for (const index of [3, 12, 17]) {
          const opening = await faceBrightness(expected[index] as Buffer, index);
          const error = Math.abs((await faceBrightness(got[index] as Buffer, index)) - opening);
          assert.ok(opening > 8, `the mouth is open in frame ${index}`);
          assert.ok(error < 0.1 * opening, `frame ${index}: off by ${error}, the mouth's opening is ${opening}`);
        }
      });
    }

    it('takes sample_rate 0 as 16000', async () => {
      assert.deepEqual(differences(await frames({ batch_size: 2, sample_rate: 0 }), expected.slice(0, 2)), []);
    });

    it('starts where it is told in the pictures, beyond their number too', async () => {
      const far = await renderedFrames(farm, SECONDS, { modelId: 'small', startFrame: FAR_START });
      const got = await frames({ batch_size: 8, start_frame_idx: FAR_START });
      assert.deepEqual(differences(got, far.slice(0, 8)), []);
      assert.notDeepEqual(differences(got, expected.slice(0, 8)), []);
    });

    it('takes features instead of sound; sound wins where both are given', async () => {
      const loud = f32(Float32Array.from({ length: FEATURE_FLOATS }, (_, index) => 1 + Math.sin(index)));
      const quiet = f32(new Float32Array(FEATURE_FLOATS));
      const noSound = { batch_size: 3, raw_audio: Buffer.alloc(0) };
      const [a, b] = [
        await frames({ ...noSound, audio_features: loud }),
        await frames({ ...noSound, audio_features: quiet }),
      ];
      assert.deepEqual([a.length, b.length], [3, 3]);
      assert.notDeepEqual(differences(a, b), []);
      const both = await frames({ batch_size: 3, audio_features: loud });
      assert.deepEqual(differences(both, expected.slice(0, 3)), []);
    });

    it('takes pictures instead of the avatar’s own: 24 of them are 59 MB', async () => {
      const visual_frames = f32(new Float32Array(24 * DEMO_FLOATS).fill(0.5));
      const got = await frames({ model_id: 'demo', batch_size: 24, visual_frames });
      const own = await frames({ model_id: 'demo', batch_size: 2 });
      assert.equal(got.length, 24);
      const { format, width, height } = await sharp(got[23]).metadata();
      assert.deepEqual({ format, width, height }, { format: 'jpeg', width: 1280, height: 720 });
      assert.deepEqual(differences(got.slice(0, 2), own), [0, 1]);
    });

    it('answers many callers at once, each with its own frames', async () => {
      const sizes = [1, 2, 3, 4, 5, 6, 7, 8];
      const answers = await Promise.all(sizes.map((batch_size) => frames({ batch_size })));
      answers.forEach((got, index) => {
        assert.deepEqual(differences(got, expected.slice(0, sizes[index])), []);
      });
    });

    it('tells a passed deadline and a message over the limit by status', async () => {
      const late = await failureOf(infer({ batch_size: 32 }, { timeoutMs: 2 }));
      assert.equal(late.code, status.DEADLINE_EXCEEDED);
      const large = await failureOf(infer({ visual_frames: Buffer.alloc(101 * 2 ** 20) }));
      assert.equal(large.code, status.RESOURCE_EXHAUSTED);
      assert.equal((await frames({ batch_size: 1 })).length, 1);
      // Nothing of the late call has stayed on the GPU.
      await whileDrained(farm, [0], async () => {});
    });

    describe('answers success = false and says what was got and what is expected', () => {
      const refusals: { name: string; fields: Partial<CompositeBatchRequest>; error: RegExp }[] = [
        { name: 'no frames', fields: { batch_size: 0 }, error: /batch_size: got 0, expected 1 to 32/ },
        { name: 'too many frames', fields: { batch_size: 33 }, error: /batch_size: got 33, expected 1 to 32/ },
        { name: 'fewer than no frames', fields: { batch_size: -1 }, error: /batch_size: got -1, expected 1 to 32/ },
        {
          name: 'a rate too low',
          fields: { sample_rate: 7999 },
          error: /sample_rate: got 7999, expected 8000 to 48000/,
        },
        { name: 'a rate too high', fields: { sample_rate: 96_000 }, error: /sample_rate: got 96000, expected 8000/ },
        {
          name: 'a start before 0',
          fields: { start_frame_idx: -1 },
          error: /start_frame_idx: got -1, expected 0 or more/,
        },
        {
          name: 'part of a sample',
          fields: { raw_audio: Buffer.alloc(6) },
          error: /raw_audio: got 6 bytes, expected a multiple of 4/,
        },
        {
          name: 'sound that is no number',
          fields: { raw_audio: f32(Float32Array.of(0, Number.NaN)) },
          error: /raw_audio: got NaN as sample 1, expected numbers in \[-1, 1\]/,
        },
        {
          name: 'sound that is absurdly loud',
          fields: { raw_audio: f32(Float32Array.of(0, 0, 1e30)) },
          error: /raw_audio: got .*e\+?30 as sample 2, expected numbers in \[-1, 1\]/,
        },
        {
          name: 'neither sound nor features',
          fields: { raw_audio: Buffer.alloc(0) },
          error: /got neither, expected sound/,
        },
        {
          name: 'features of another size',
          fields: { raw_audio: Buffer.alloc(0), audio_features: Buffer.alloc(2048) },
          error: /audio_features: got 2048 bytes, expected 8192 float32 \(32768 bytes\)/,
        },
        {
          name: 'features that are no numbers',
          fields: { raw_audio: Buffer.alloc(0), audio_features: f32(new Float32Array(8192).fill(Number.NaN)) },
          error: /audio_features: got NaN as number 0, expected finite numbers/,
        },
        {
          name: 'pictures that do not divide',
          fields: { visual_frames: Buffer.alloc(4 * SMALL_FLOATS - 4) },
          error: /visual_frames: got 614396 bytes, expected 1×6×S×S float32: 2457600 \(S = 320\) or 614400 \(S = 160\)/,
        },
        {
          name: "pictures of another size than the model's",
          fields: { visual_frames: Buffer.alloc(4 * 6 * 64 * 64) },
          error: /visual_frames.*98304.*expected 614400/,
        },
        {
          name: 'an unknown model',
          fields: { model_id: 'nobody' },
          error: /model_unknown: .*"nobody".*small, other, demo, broken/,
        },
        {
          name: 'a model that cannot be used',
          fields: { model_id: 'broken' },
          error: /model_unusable: .*Windows path/,
        },
      ];
      for (const { name, fields, error } of refusals) {
        it(name, async () => {
          const answer = await infer(fields);
          assert.equal(answer.success, false);
          assert.match(answer.error, error);
          assert.equal(answer.gpu_id, -1);
          assert.deepEqual(answer.composited_frames, []);
        });
      }
    });
  });
}
