import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { encodeJpeg } from '../../worker/media/jpeg.ts';
import { InferenceSession, Tensor } from '../../worker/onnx/onnxruntime.ts';
import { writeMouth } from '../../worker/pipeline/mouth.ts';
import { compositeFrame, cutCrop, makeCrop } from '../../worker/pipeline/pipeline.ts';
import { largestDifference } from '../pipeline/files.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_FACE, SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { MONOLITHIC, TestClient } from './clients.ts';
import { CompositingClient, InferenceClient } from './pair-clients.ts';
import { differences, f32, speech } from './speech.ts';

const SIDE = 160;
const FACE_FLOATS = 6 * SIDE * SIDE;
const MOUTH_FLOATS = 3 * SIDE * SIDE;
const FEATURE_FLOATS = 32 * 16 * 16;
/** The network's numbers are those of the original. */
const SAME_NUMBER = 1e-4;
/** A decoded JPEG of the same picture, by another encoder. */
const ROUNDING = 3;
const SOUND = f32(speech(1.5));
/** As an entry of the inference server's file: a network, and no avatar. */
const NETWORK_ONLY = { model_path: SMALL_MODEL.model_path, audio_encoder_path: SMALL_MODEL.audio_encoder_path };

describe('the services of the separated pair', () => {
  let farm: TestFarm;
  let monolithic: TestClient;
  let compositing: CompositingClient;
  let inference: InferenceClient;
  let network: InferenceSession;

  before(async () => {
    const [compositingPort, inferencePort] = [await freePort(), await freePort()];
    farm = await startFarm({
      models: { small: SMALL_MODEL, bare: { ...NETWORK_ONLY, preload: false, preferred_gpu: 0 } },
      server: { compositing_port: `127.0.0.1:${compositingPort}`, inference_port: inferencePort },
      capacity: { max_models: 7 },
    });
    monolithic = new TestClient(farm.grpcAddress);
    compositing = new CompositingClient(`127.0.0.1:${compositingPort}`);
    inference = new InferenceClient(`127.0.0.1:${inferencePort}`);
    network = await InferenceSession.create(SMALL_MODEL.model_path);
  });
  after(async () => {
    for (const client of [monolithic, compositing, inference]) client.close();
    await network.release();
    await farm[Symbol.asyncDispose]();
  });

  /** What the file of the network gives by itself, a frame at a time. */
  const generate = async (visual: Float32Array, features: Float32Array): Promise<Float32Array> => {
    const { output } = await network.run({
      input: new Tensor('float32', visual, [1, 6, SIDE, SIDE]),
      audio: new Tensor('float32', features, [1, 32, 16, 16]),
    });
    return output?.data as Float32Array;
  };

  it('composites as the one-process server does, byte for byte', async () => {
    for (const fields of [{ batch_size: 8 }, { batch_size: 3, start_frame_idx: 11, sample_rate: 16_000 }]) {
      const request = { model_id: 'small', raw_audio: SOUND, ...fields };
      const expected = await monolithic.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', request);
      const got = await compositing.infer(request);
      assert.ok(expected.success && got.success, got.error);
      assert.equal(got.composited_frames.length, fields.batch_size);
      assert.deepEqual(differences([...got.composited_frames], [...expected.composited_frames]), []);
    }
  });

  it("gives the network's own numbers for pictures and features that the client sends", async () => {
    const features = Float32Array.from({ length: FEATURE_FLOATS }, (_, index) => Math.sin(index));
    // Bytes travel as bytes; what no byte stands for travels as it is.
    for (const [kind, value] of [
      ['bytes', (index: number) => ((index * 7) % 256) / 255],
      ['floats', (index: number) => Math.abs(Math.sin(index / 3))],
    ] as const) {
      const faces = Array.from({ length: 3 }, (_, frame) =>
        Float32Array.from({ length: FACE_FLOATS }, (_, index) => value(index + frame)),
      );
      const request = {
        batch_size: faces.length,
        visual_frames: Buffer.concat(faces.map(f32)),
        audio_features: f32(features),
      };
      for (const model_id of ['small', 'bare']) {
        const mouths = await inference.mouths({ model_id, ...request });
        assert.equal(mouths.length, faces.length);
        for (const [frame, face] of faces.entries()) {
          const difference = largestDifference(mouths[frame] ?? [], await generate(face, features));
          assert.ok(difference <= SAME_NUMBER, `${kind}, model ${model_id}, frame ${frame}: off by ${difference}`);
        }
      }
    }
  });

  it('gives mouths that make the same frames when the client puts them into the pictures', async () => {
    const request = { model_id: 'small', raw_audio: SOUND, batch_size: 5 };
    const { composited_frames: frames, success, error } = await compositing.infer(request);
    assert.ok(success, error);
    const mouths = await inference.mouths(request);
    for (const [index, mouth] of mouths.entries()) {
      assert.equal(mouth.length, MOUTH_FLOATS);
      const got = await decoded(await compositedByTheClient(mouth, index));
      const difference = largestDifference(got, await decoded(frames[index] as Buffer));
      assert.ok(difference <= ROUNDING, `frame ${index}: off by ${difference}`);
    }
  });

  it('gives up to 50 mouths, on the GPU that it names', async () => {
    const { outputs, success, error, ...numbers } = await inference.infer({
      ...{ model_id: 'small', raw_audio: SOUND, batch_size: 50 },
    });
    assert.ok(success, error);
    assert.equal(outputs.length, 50);
    assert.ok(numbers.inference_time_ms > 0 && numbers.audio_processing_ms > 0);
    assert.deepEqual([numbers.worker_id, numbers.gpu_id], [0, 0]);
  });

  it('needs the pictures of a model that has none, and composites nothing with it', async () => {
    const request = { model_id: 'bare', raw_audio: SOUND, batch_size: 2 };
    const visual_frames = f32(new Float32Array(2 * FACE_FLOATS).fill(0.25));
    assert.equal((await inference.mouths({ ...request, visual_frames })).length, 2);
    const withoutPictures = await inference.infer(request);
    assert.deepEqual([withoutPictures.success, withoutPictures.gpu_id], [false, -1]);
    assert.match(withoutPictures.error, /^model_unusable: .*visual_frames/);
    const frames = await compositing.infer({ ...request, visual_frames });
    assert.equal(frames.success, false);
    assert.match(frames.error, /^model_unusable: .*"bare".*background_dir/);
  });

  it('refuses as the one-process server does: success = false, and what was got and expected', async () => {
    for (const [fields, expected] of [
      [{ batch_size: 51 }, /batch_size: got 51, expected 1 to 50/],
      [{ batch_size: 1, raw_audio: Buffer.alloc(0) }, /got neither/],
      [{ batch_size: 1, visual_frames: Buffer.alloc(8) }, /visual_frames: got 8 bytes/],
      [{ batch_size: 1, model_id: 'nobody' }, /^model_unknown: .*configured: small, bare/],
    ] as const) {
      const answer = await inference.infer({ model_id: 'small', raw_audio: SOUND, ...fields });
      assert.deepEqual([answer.success, answer.gpu_id, answer.worker_id, answer.outputs], [false, -1, -1, []]);
      assert.match(answer.error, expected);
    }
    const load = await inference.load('nobody');
    assert.deepEqual([load.success, load.stats], [false, null]);
    assert.match((await compositing.unload('nobody')).error, /^model_unknown/);
  });

  it('says of models and GPUs what the workers measured', async () => {
    const loaded = await compositing.load('small');
    assert.ok(loaded.success && Number(loaded.stats?.memory_bytes) > 0, loaded.error);
    await until(
      'the use is counted',
      async () => Number((await inference.stats('small')).models[0]?.stats?.usage_count) > 3,
    );
    const { models, ...totals } = await inference.stats('small');
    const [{ stats, ...info } = { stats: null }] = models;
    assert.deepEqual(info, { model_id: 'small', loaded: true, model_path: SMALL_MODEL.model_path, gpu_id: 0 });
    const { memory_bytes = 0, total_inference_time_ms = 0, last_used_unix_ms = 0, loaded_unix_ms = 0 } = stats ?? {};
    assert.ok(total_inference_time_ms > 0);
    for (const time of [last_used_unix_ms, loaded_unix_ms]) assert.ok(Math.abs(time - Date.now()) < 120_000);
    assert.ok(memory_bytes > 0 && totals.total_memory_bytes >= memory_bytes);
    assert.ok(totals.max_memory_bytes > totals.total_memory_bytes);
    assert.deepEqual([totals.max_models, totals.loaded_models], [7, 2]);
    const { gpus, version, ...health } = await inference.health();
    assert.match(version, /^\d+\.\d+\.\d+/);
    const expected = { healthy: true, cuda_available: false, loaded_models: 2, max_models: 7, gpu_count: 1 };
    assert.deepEqual(health, expected);
    assert.deepEqual([gpus[0]?.gpu_id, gpus[0]?.loaded_models, gpus.length], [0, 2, 1]);
    assert.match(gpus[0]?.name ?? '', /cores/);
    assert.equal(gpus[0]?.total_memory_bytes, totals.max_memory_bytes);
    assert.ok(Number(gpus[0]?.used_memory_bytes) > 0);
    const own = await compositing.health();
    assert.deepEqual([own.healthy, own.inference_server_healthy, own.version], [true, true, version]);
    assert.match(own.inference_server_url, /^127\.0\.0\.1:\d+$/);
    const [small, bare] = await compositing.models();
    assert.deepEqual([small?.background_dir, bare?.background_dir], [SMALL_MODEL.background_dir, '']);
    assert.equal(small?.crop_rects_path, SMALL_MODEL.crop_rects_path);
    assert.deepEqual(await compositing.healthStatus('compositing.CompositingService'), 'SERVING');
  });

  it('loads a model anew when that is asked for, and unloads it', async () => {
    const before = await inference.load('small');
    assert.deepEqual([before.success, before.load_time_ms], [true, 0]);
    const again = await inference.load('small', true);
    assert.ok(again.success && again.load_time_ms > 0, again.error);
    assert.ok(Number(again.stats?.loaded_unix_ms) > Number(before.stats?.loaded_unix_ms));
    assert.deepEqual(await compositing.unload('small'), { success: true, error: '' });
    const [{ stats = null, loaded = true } = {}] = await inference.models();
    assert.deepEqual([loaded, stats?.memory_bytes, stats?.loaded_unix_ms], [false, 0, 0]);
    assert.ok(Number(stats?.usage_count) > 0);
    assert.ok((await inference.load('small', true)).success, 'one that is loaded nowhere is loaded');
  });
});

/** What a compositing host does with a mouth: into the picture of that frame, and to JPEG. */
async function compositedByTheClient(mouth: Float32Array, index: number): Promise<Uint8Array> {
  const file = await readFile(`${SMALL_MODEL.background_dir}/frame_00000${index}.jpg`);
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const background = { width: info.width, height: info.height, data: new Uint8Array(data) };
  const picture = new Uint8Array(MOUTH_FLOATS);
  writeMouth(mouth, 0, SIDE, picture);
  const crop = makeCrop(SIDE);
  cutCrop(background, SMALL_FACE, crop);
  const image = compositeFrame(picture, SIDE, crop, background, SMALL_FACE, new Uint8Array(data.length));
  return await encodeJpeg(image, 75);
}

async function decoded(jpeg: Uint8Array): Promise<Buffer> {
  return await sharp(jpeg).raw().toBuffer();
}
