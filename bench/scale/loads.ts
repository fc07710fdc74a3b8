import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import type { GrpcCalls } from '../grpc-calls.ts';

/** Work that a farm is given for a while, at a fixed rate, whether or not it keeps up. */

export interface LoadOutcome {
  /** Jobs that GPUs did; null where this is not known. */
  readonly gpuJobs: number | null;
  readonly frames: number;
  /** What the farm added to each piece of work beside what the GPU took, in ms. */
  readonly addedMs: readonly number[];
  /** Error message → how often. */
  readonly failures: ReadonlyMap<string, number>;
}

export interface LoadTools {
  readonly calls: GrpcCalls;
  readonly client: NodeFarmClient;
  readonly modelId: string;
  /** What a frame takes on a GPU. */
  readonly frameMs: number;
  readonly seconds: number;
}

const SPEECH = fileURLToPath(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
/** Samples of sound for one frame. */
const SAMPLES_PER_FRAME = 640;
const UNARY_FRAMES = 24;
const MEETINGS_PER_SECOND = 20;

/** Unary requests of 24 frames. */
export async function sendRequests(tools: LoadTools, requestsPerSecond: number): Promise<LoadOutcome> {
  return await unary(tools, requestsPerSecond, UNARY_FRAMES);
}

/**
 * One request of one frame for each GPU, in turn: the first that a worker gets from a front end goes by its queue, and
 * brings the connection for all later ones. What is counted is counted for the GPUs that have had none so far.
 */
export async function meetWorkers(
  tools: LoadTools,
  { gpus, strangers }: { readonly gpus: number; readonly strangers: number },
): Promise<LoadOutcome> {
  const outcome = await unary({ ...tools, seconds: gpus / MEETINGS_PER_SECOND }, MEETINGS_PER_SECOND, 1);
  return { ...outcome, gpuJobs: strangers, frames: strangers };
}

async function unary(tools: LoadTools, requestsPerSecond: number, frames: number): Promise<LoadOutcome> {
  const { calls, modelId, frameMs, seconds } = tools;
  const audio = Buffer.alloc(frames * SAMPLES_PER_FRAME * Float32Array.BYTES_PER_ELEMENT);
  const addedMs: number[] = [];
  const failures = await atRate(requestsPerSecond, seconds, async () => {
    const sentAt = performance.now();
    await calls.infer(modelId, audio, frames);
    addedMs.push(performance.now() - sentAt - frames * frameMs);
  });
  return { gpuJobs: addedMs.length, frames: addedMs.length * frames, addedMs, failures };
}

/** Streams of people who talk: the sound of each comes in pieces, as it is spoken. */
export async function talk(tools: LoadTools, streams: number, pieceMs: number): Promise<LoadOutcome> {
  const { calls, modelId, frameMs, seconds } = tools;
  const addedMs: number[] = [];
  let frames = 0;
  const failures = await atRate(streams, 1, async () => {
    for (const latencyMs of await calls.talk(modelId, seconds, pieceMs)) {
      frames++;
      addedMs.push(latencyMs - frameMs);
    }
  });
  return { gpuJobs: null, frames, addedMs, failures };
}

/** Renders of nine seconds of speech to pictures: decoded, cut into segments, put on queues, gathered. */
export async function submitRenders(tools: LoadTools, rendersPerSecond: number): Promise<LoadOutcome> {
  const { client, modelId, frameMs, seconds } = tools;
  const addedMs: number[] = [];
  let frames = 0;
  let segments = 0;
  const failures = await atRate(rendersPerSecond, seconds, async () => {
    const sentAt = performance.now();
    const { id } = await client.submit(SPEECH, { modelId, output: 'frames' });
    await client.finished(id);
    const receipt = await client.receipt(id);
    frames += receipt.frames;
    segments += receipt.segments.length;
    const longest = Math.max(...receipt.segments.map(({ frames: { start, end } }) => end - start));
    addedMs.push(performance.now() - sentAt - longest * frameMs);
  });
  return { gpuJobs: segments, frames, addedMs, failures };
}

/** Begins `work` so often, and waits for the end of all. */
async function atRate(perSecond: number, seconds: number, work: () => Promise<void>): Promise<Map<string, number>> {
  const failures = new Map<string, number>();
  const startedAt = performance.now();
  const begin = async (number: number): Promise<void> => {
    await delay(Math.max(1, startedAt + (number * 1000) / perSecond - performance.now()));
    try {
      await work();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      failures.set(message, (failures.get(message) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Math.round(perSecond * seconds) }, (_, number) => begin(number)));
  return failures;
}
