import { availableParallelism } from 'node:os';
import type { DemoAvatar } from '../avatars/demo/build.ts';
import { resolveModel } from '../shared/config/model-config.ts';
import { modelSchema } from '../shared/config/model-entry.ts';
import { openAvatar } from '../worker/avatar/avatar.ts';
import { OnnxAudioEncoder } from '../worker/onnx/audio-encoder.ts';
import { QUIET_THREADS } from '../worker/onnx/onnx-session.ts';
import { InferenceSession, Tensor } from '../worker/onnx/onnxruntime.ts';
import { type AudioEncoder, type AudioSource, type LipSyncNetwork, outputFloats } from '../worker/pipeline/contract.ts';
import { paintOutside } from '../worker/pipeline/picture-floats.ts';
import { renderFrames } from '../worker/pipeline/render-frames.ts';
import { noTimings } from '../worker/pipeline/stage-timings.ts';

/** Both networks of a render on ONNX Runtime and nothing else, on inputs that a real render gives them. */

const SIZE = 320;
const WINDOWS_AT_ONCE = 32;
const NEVER = new AbortController().signal;

type Feeds = Record<string, Tensor>;

interface RealInputs {
  /** Of each frame. */
  readonly frames: Feeds[];
  /** Batches of `WINDOWS_AT_ONCE` windows. */
  readonly windows: Feeds[];
}

export interface BareNetworks extends AsyncDisposable {
  /** CPU milliseconds of as many frames. Each needs a window of the encoder. */
  cpuMs(frames: number): Promise<number>;
}

/** @param frameCount frames whose inputs are made, and used again and again. */
export async function openBareNetworks(
  demo: DemoAvatar,
  audio: AudioSource,
  frameCount: number,
): Promise<BareNetworks> {
  const inputs = await realInputs(demo, audio, frameCount);
  const options = { intraOpNumThreads: availableParallelism(), extra: { session: QUIET_THREADS } };
  const generator = await InferenceSession.create(demo.generatorPath, options);
  const encoder = await InferenceSession.create(demo.encoderPath, options);
  const run = async (session: InferenceSession, feeds: readonly Feeds[], times: number) => {
    for (let at = 0; at < times; at++) await session.run(feeds[at % feeds.length] as Feeds);
  };
  return {
    async cpuMs(frames) {
      const before = process.cpuUsage();
      await run(encoder, inputs.windows, Math.ceil(frames / WINDOWS_AT_ONCE));
      await run(generator, inputs.frames, frames);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    },
    async [Symbol.asyncDispose]() {
      await generator.release();
      await encoder.release();
    },
  };
}

/** Renders frames with networks that note what they are given. */
async function realInputs(demo: DemoAvatar, audio: AudioSource, frameCount: number): Promise<RealInputs> {
  const noted: RealInputs = { frames: [], windows: [] };
  const opened = await OnnxAudioEncoder.open(demo.encoderPath, {
    providers: ['cpu'],
    threads: { intraOp: availableParallelism(), interOp: 1 },
  });
  const encoder: AudioEncoder = {
    async encode(windows, count) {
      if (count === WINDOWS_AT_ONCE) {
        noted.windows.push({ mel_spectrogram: new Tensor('float32', windows.slice(), [count, 1, 80, 16]) });
      }
      return await opened.encode(windows, count);
    },
  };
  const parts = { audio, encoder, network: notingNetwork(noted.frames), avatar: await openAvatar(entryOf(demo)) };
  const request = { frames: { start: 0, end: frameCount }, totalFrames: frameCount, startFrameIndex: 0 };
  const batches = { batchFrames: 1, encoderBatchWindows: WINDOWS_AT_ONCE };
  for await (const _ of renderFrames({ ...request, ...batches }, parts, NEVER, noTimings()));
  await opened.release();
  return noted;
}

function notingNetwork(frames: Feeds[]): LipSyncNetwork {
  const generate = async (visual: Float32Array, audio: Float32Array) => {
    frames.push({
      input: new Tensor('float32', visual.slice(), [1, 6, SIZE, SIZE]),
      audio: new Tensor('float32', audio.slice(), [1, 32, 16, 16]),
    });
    return new Float32Array(outputFloats(SIZE));
  };
  const own = { size: SIZE, generate } as const;
  return {
    ...own,
    framesPerRun: 1,
    paint: (faces, audio, mouths, count) => paintOutside(own, faces, audio, mouths, count),
    paintFloats: () => Promise.reject(new Error('it paints pictures only')),
  };
}

function entryOf({ generatorPath, encoderPath, dir }: DemoAvatar) {
  const files = { background_dir: `${dir}/frames`, crop_rects_path: `${dir}/crop_rects.json` };
  const entry = modelSchema.parse({ model_path: generatorPath, audio_encoder_path: encoderPath, ...files });
  return resolveModel('bench', entry, { configDir: '/', modelsRoot: '', audioEncoderPath: '' });
}
