import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RENDER_STATUSES } from '../../shared/renders/record.ts';
import { frameCount } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { FARM, MONOLITHIC, send, type TestClient } from '../grpc/clients.ts';
import { f32, speech } from '../grpc/speech.ts';
import type { TestFarm } from '../support/farm.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { syllables, writeWav } from '../support/sound.ts';
import type { Timeline } from './timeline.ts';

/** Who works with the farm in a soak. Each caller goes on until it is told to stop; any fault it meets is thrown. */

export interface CallerTools {
  readonly farm: TestFarm;
  readonly client: TestClient;
  readonly timeline: Timeline;
  readonly random: () => number;
  readonly stop: AbortSignal;
}

type Caller = (tools: CallerTools) => Promise<void>;

/** The names under which the soak's farm has its avatar: more than it may have in memory at once. */
export const MODEL_IDS = ['one', 'two', 'three'] as const;
const FRAME_MS = 40;
const HALF_FRAME_S = FRAME_MS / 2000;
/** An AAC encoder fills its last packet up. */
const AAC_PACKET_S = 1024 / 44_100;

/** One request after the other, each of 1 to 8 frames. */
const askOnce: Caller = async ({ client, timeline, random }) => {
  const frames = 1 + Math.floor(random() * 8);
  const audio = f32(speech(0.5));
  const request = { model_id: anyOf(MODEL_IDS, random), raw_audio: audio, batch_size: frames, sample_rate: 16_000 };
  const startedAt = performance.now();
  const answer = await client.unary<{ success: boolean; error: string; composited_frames: unknown[] }>(
    MONOLITHIC,
    'InferBatchComposite',
    request,
  );
  if (!answer.success) throw new Error(`A request was refused: ${answer.error}`);
  if (answer.composited_frames.length !== frames) throw new Error(`${answer.composited_frames.length} of ${frames}`);
  timeline.note('unary request', performance.now() - startedAt);
};

/** A short stream, some of which are left in their middle. */
const talkShortly: Caller = async ({ client, timeline, random }) => {
  const sound = speech(1 + random() * 3);
  const leavesEarly = random() < 0.25;
  const call = client.stream();
  let frames = 0;
  const over = Promise.withResolvers<void>();
  const startedAt = performance.now();
  call.on('error', (error: Error & { code?: number }) =>
    leavesEarly && error.code === 1 ? over.resolve() : over.reject(error),
  );
  call.on('data', (message: { frame?: object; ended?: object }) => {
    if (message.frame && ++frames === 1) timeline.note('first frame of a stream', performance.now() - startedAt);
    if (message.frame && leavesEarly && frames === 10) call.cancel();
    if (message.ended) over.resolve();
  });
  call.write({ open: { model_id: anyOf(MODEL_IDS, random), sample_rate: SAMPLE_RATE_HZ } as never });
  await send(call, { audio: f32(sound) });
  call.end();
  await over.promise;
  if (!leavesEarly && frames !== frameCount(sound.length)) throw new Error(`A stream gave ${frames} frames`);
};

/** A render to a video, fetched, checked and removed; or cancelled, or to frames. */
const renderOnce: Caller = async ({ farm, timeline, random }) => {
  const seconds = 4 + Math.floor(random() * 12);
  const file = path.join(farm.folder, `${randomUUID()}.wav`);
  const samples = syllables(seconds);
  await writeWav(file, samples);
  const output = random() < 0.7 ? 'mp4' : 'frames';
  const startedAt = performance.now();
  const { id } = await farm.client.submit(file, { modelId: anyOf(MODEL_IDS, random), output });
  await rm(file);
  if (random() < 0.15) {
    await delay(random() * 1000);
    await farm.client.cancel(id);
  } else {
    const view = await farm.client.finished(id);
    timeline.note(`render, ms a second of sound`, (performance.now() - startedAt) / seconds);
    if (view.frames.total !== frameCount(samples.length)) throw new Error(`${id} has ${view.frames.total} frames`);
    if (output === 'mp4') await checkVideo(farm, id, seconds);
    else await farm.client.frame(id, frameCount(samples.length) - 1);
  }
  await farm.client.remove(id);
};

async function checkVideo(farm: TestFarm, id: string, seconds: number): Promise<void> {
  const target = path.join(farm.folder, `${id}.mp4`);
  await farm.client.saveVideo(id, target);
  const { video, audio } = await inspectVideo(target);
  const apart = Math.abs(Number(video.duration) - Number(audio.duration));
  if (apart > HALF_FRAME_S + AAC_PACKET_S) throw new Error(`${id}: picture and sound end ${apart} s apart`);
  if (Math.abs(Number(video.duration) - seconds) > HALF_FRAME_S) throw new Error(`${id} lasts ${video.duration} s`);
}

/** Watches the newest render over gRPC, and pages through the list. Some watchers leave early. */
const watchOnce: Caller = async ({ farm, client, random }) => {
  const { renders } = await farm.client.list(5);
  const unfinished = renders.find(({ status }) => RENDER_STATUSES.indexOf(status) < 4);
  if (unfinished) {
    const call = client.watch(FARM, 'WatchRender', { render_id: unfinished.id });
    if (random() < 0.3) setTimeout(() => call.cancel(), random() * 500);
    const over = Promise.withResolvers<void>();
    call.on('data', () => {});
    // Its render may be removed, or the watcher leaves.
    call.on('error', () => over.resolve());
    call.on('end', () => over.resolve());
    await over.promise;
  }
  await farm.client.gpus();
  await farm.client.models();
};

/** How many of each there are, and how long each waits at most before it begins again. */
export const CALLERS: readonly { readonly name: string; readonly caller: Caller; readonly pauseMs: number }[] = [
  { name: 'unary request', caller: askOnce, pauseMs: 400 },
  { name: 'short stream', caller: talkShortly, pauseMs: 1500 },
  { name: 'short stream', caller: talkShortly, pauseMs: 1500 },
  { name: 'render', caller: renderOnce, pauseMs: 3000 },
  { name: 'render', caller: renderOnce, pauseMs: 3000 },
  { name: 'watcher', caller: watchOnce, pauseMs: 800 },
  { name: 'watcher', caller: watchOnce, pauseMs: 800 },
];

/** Runs all callers until they are told to stop; resolves with the faults that they met. */
export async function callUntil(tools: CallerTools): Promise<string[]> {
  const faults: string[] = [];
  await Promise.all(
    CALLERS.map(async ({ name, caller, pauseMs }) => {
      while (!tools.stop.aborted) {
        await caller(tools).catch((error: Error) => faults.push(`${name}: ${error.message}`));
        tools.timeline.note(`${name}s`, 1);
        await delay(tools.random() * pauseMs);
      }
    }),
  );
  return faults;
}

function anyOf<T>(choices: readonly T[], random: () => number): T {
  return choices[Math.floor(random() * choices.length)] as T;
}
