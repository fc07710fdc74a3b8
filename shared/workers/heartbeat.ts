import { setImmediate } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type RepeatLog, repeat } from '../process/repeat.ts';
import { ALIVE_EVERY_MS, DEAD_AFTER_MS } from '../process/signs-of-life.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { AUDIO_KINDS } from '../sound/audio-kinds.ts';
import { HUBERT_CHUNKS } from '../sound/hubert-chunks.ts';

/** What every worker process reports every second; a worker without heartbeats is dead. */

const modelContentSchema = z.object({
  /** Hashes of all that its frames depend on: of its networks, and with its pictures, once these have been read. */
  networks: z.string(),
  whole: z.string().optional(),
  /** Version of the entry that it was loaded from (entryVersion). */
  entry: z.string(),
  /** What the sound is that its frames depend on: fields of its network and of Hearing (sound/hearing.ts). */
  framesPerRun: z.int().positive(),
  hearing: z.object({
    kind: z.enum(AUDIO_KINDS),
    rowsBefore: z.int().nonnegative(),
    rowsAfter: z.int().nonnegative(),
    shape: z.tuple([z.int(), z.int(), z.int()]).readonly(),
    hubertChunks: z.enum(HUBERT_CHUNKS),
  }),
});
export type ModelContentState = z.infer<typeof modelContentSchema>;

const loadedModelSchema = z.object({
  /** From the first file that was read to the end of the warm-up. */
  loadMs: z.number(),
  /** A run of the network for one frame, measured in the warm-up. */
  msPerFrame: z.number(),
  loadedAtMs: z.number(),
  /** What it takes now: its networks as measured, the backgrounds that are kept. */
  memoryBytes: z.number(),
  /** Of its network, its encoder and its crop rects; absent when they have changed since, and in older workers. */
  filesHash: z.string().optional(),
  /** How many of its avatar's pictures are prepared; absent in older workers. */
  pictures: z.object({ prepared: z.int(), total: z.int() }).optional(),
  /** Side of its network's picture; absent in older workers. */
  networkSize: z.int().optional(),
  /** What it is made of, for segments that are kept; absent where none are, when it has changed since, and in older workers. */
  content: modelContentSchema.optional(),
});
export type LoadedModelState = z.infer<typeof loadedModelSchema>;

const modelCostSchema = z.object({
  /** What it takes to get the model into memory. */
  loadMs: z.number(),
  /** A whole frame, from a window of sound to the JPEG, in a row of frames with nothing else running. */
  frameMs: z.number(),
});
export type ModelCost = z.infer<typeof modelCostSchema>;

const blockedModelSchema = z.object({
  /** Error code of the last failure. */
  code: z.string(),
  reason: z.string(),
  sinceMs: z.number(),
});
export type BlockedModel = z.infer<typeof blockedModelSchema>;

const modelStateSchema = z.object({
  modelId: z.string(),
  /** Null while the model is not in memory. */
  loaded: loadedModelSchema.nullable(),
  /** Why the model cannot be used on this worker; empty when it can. */
  problems: z.array(z.string()),
  /** Measured after the last load, and kept when the model is unloaded; null before. */
  cost: modelCostSchema.nullable(),
  /** Tags that the model needs and this worker's host does not have; absent when it has them all, and in older workers. */
  lacks: z.array(z.string()).optional(),
  /**
   * How far the fetch of its files is, in bytes; `total` is null where no server says; `fault` why the last try failed.
   * Absent when they are here, and in
   * older workers.
   */
  fetching: z.object({ bytes: z.number(), total: z.number().nullable(), fault: z.string().optional() }).optional(),
  /** Why this worker blocks the model after several failures in a row; null while it does not. */
  blocked: blockedModelSchema.nullable(),
  /** Since the worker started. */
  usage: z.object({
    requestCount: z.int(),
    totalInferenceMs: z.number(),
    lastUsedAtMs: z.number().nullable(),
  }),
});

/** Memory of a GPU worker's models and of its process, in bytes. */
const memorySchema = z.object({
  /** Memory of its models together; on CUDA of the device, elsewhere of the process. */
  usedBytes: z.number(),
  /** The limit of that. */
  limitBytes: z.number(),
  /** Resident memory of the whole process. */
  processBytes: z.number(),
});
export type WorkerMemory = z.infer<typeof memorySchema>;

/** The machine of a worker, as its operator sees it. */
const hostSchema = z.object({
  /** As configured; several workers of a machine have the same. */
  name: z.string(),
  /** Tells machines apart that were given the same name; null where the system does not say. */
  machine: z.string().nullable(),
  /** Version of the farm that the worker runs. */
  version: z.string(),
  tags: z.array(z.string()),
  /** Its clock minus that of Redis; null until it was compared. */
  clockOffsetMs: z.number().nullable(),
});
export type WorkerHost = z.infer<typeof hostSchema>;

export const heartbeatSchema = z.object({
  workerId: z.string(),
  /** The GPU whose queue this worker owns; null for a media worker. */
  gpuId: z.int().nonnegative().nullable(),
  /** Name that the system gives its machine. */
  host: z.string(),
  /** Absent in older workers. */
  onHost: hostSchema.optional(),
  pid: z.int(),
  startedAtMs: z.number(),
  /** ONNX Runtime execution provider in use; null until the first model was loaded. */
  provider: z.string().nullable(),
  /** What the provider computes on, such as "NVIDIA H100 80GB HBM3"; null while the provider is. */
  device: z.string().nullable(),
  models: z.array(modelStateSchema),
  /** Absent for a media worker. */
  memory: memorySchema.optional(),
  /** Forms in which it takes visual inputs (visual-frames.ts); absent where it takes floats alone, and in media workers. */
  visualForms: z.array(z.string()).optional(),
  /** True when it gives mouths in place of frames to live requests that want them; absent in older workers. */
  givesMouths: z.boolean().optional(),
  /** True when it takes no new jobs, because it was told to drain or is about to end. */
  draining: z.boolean(),
  runningJobs: z.int().nonnegative(),
  /** How long the work under way has shown no progress; absent for a media worker. */
  silentMs: z.number().optional(),
  /** True when it hears of live jobs by the channels of the queues that it serves; absent in older workers. */
  ownLiveChannels: z.boolean().optional(),
  /** Version of the direct frame channel that it speaks; absent where it has none, and in older workers. */
  frameChannel: z.int().positive().optional(),
  /** Longest time that the thread which talks to Redis was blocked, since the last heartbeat. */
  eventLoopBlockedMaxMs: z.number(),
});

export type Heartbeat = z.infer<typeof heartbeatSchema>;

export const WORKERS_KEY = `${KEY_PREFIX}:workers`;
/** Begins the keys of heartbeats; the rest is the worker's id. */
export const HEARTBEAT_KEY_PREFIX = `${KEY_PREFIX}:heartbeat:`;
const heartbeatKey = (workerId: string) => `${HEARTBEAT_KEY_PREFIX}${workerId}`;
const leftKey = (workerId: string) => `${KEY_PREFIX}:left:${workerId}`;
/** Longer than anybody looks for a worker that is silent. */
const LEFT_LIFETIME_MS = 120_000;

/**
 * Publishes `describe()` now and every second until `stop`, which also removes the last heartbeat. `now` does not wait;
 * `written` resolves once what `describe()` says now is in Redis.
 */
export function startHeartbeat(
  redis: Redis,
  workerId: string,
  describe: () => Omit<Heartbeat, 'workerId'>,
  log: RepeatLog,
) {
  const beat = async () => {
    const heartbeat: Heartbeat = { workerId, ...describe() };
    await Promise.all([
      redis.set(heartbeatKey(workerId), JSON.stringify(heartbeat), 'PX', DEAD_AFTER_MS),
      redis.sadd(WORKERS_KEY, workerId),
    ]);
  };
  let isOver = false;
  const beating = repeat(beat, { name: 'heartbeat', everyMs: ALIVE_EVERY_MS, log });
  return {
    first: beat(),
    now: beating.now,
    async written(): Promise<void> {
      // Sent on the same connection, so none that was described before is written after it.
      if (!isOver) await beat();
    },
    async stop(): Promise<void> {
      isOver = true;
      await beating.stop();
      await redis
        .multi()
        .del(heartbeatKey(workerId))
        .srem(WORKERS_KEY, workerId)
        .set(leftKey(workerId), 1, 'PX', LEFT_LIFETIME_MS)
        .exec();
    },
  };
}

/** Heartbeats that are read without letting anything else run. */
const READ_AT_ONCE = 32;

/** The workers that are alive, GPU workers first. Ids of dead workers are removed from Redis on the way. */
export async function readHeartbeats(redis: Redis): Promise<Heartbeat[]> {
  const workerIds = await redis.smembers(WORKERS_KEY);
  if (workerIds.length === 0) return [];
  const texts = await redis.mget(workerIds.map(heartbeatKey));
  const alive: Heartbeat[] = [];
  const silent: string[] = [];
  for (const [index, workerId] of workerIds.entries()) {
    // Hundreds of them take tens of milliseconds: frames must not wait for all of that.
    if (index % READ_AT_ONCE === READ_AT_ONCE - 1) await setImmediate();
    const text = texts[index] ?? null;
    const heartbeat = parseHeartbeat(text);
    if (heartbeat) alive.push(heartbeat);
    // One that cannot be read is of a newer version: it is not silent, and its own front ends know it.
    else if (text === null) silent.push(workerId);
  }
  if (silent.length > 0) await redis.srem(WORKERS_KEY, ...silent);
  return alive.sort((a, b) => (a.gpuId ?? Infinity) - (b.gpuId ?? Infinity) || a.startedAtMs - b.startedAtMs);
}

/** How long ago each of these workers last gave a sign of life, in ms by Redis's clock; those that are gone are left out. */
export async function heartbeatAges(redis: Redis, workerIds: readonly string[]): Promise<Map<string, number>> {
  const left = await Promise.all(workerIds.map((workerId) => redis.pttl(heartbeatKey(workerId))));
  return new Map(
    workerIds.flatMap((workerId, index) => {
      const leftMs = left[index] ?? -1;
      return leftMs < 0 ? [] : [[workerId, Math.max(0, DEAD_AFTER_MS - leftMs)]];
    }),
  );
}

/** The heartbeats of these workers, of those that are alive. */
export async function readHeartbeatsOf(redis: Redis, workerIds: readonly string[]): Promise<Heartbeat[]> {
  if (workerIds.length === 0) return [];
  const texts = await redis.mget(workerIds.map(heartbeatKey));
  return texts.map(parseHeartbeat).filter((heartbeat) => heartbeat !== undefined);
}

function parseHeartbeat(text: string | null | undefined): Heartbeat | undefined {
  return heartbeatSchema.safeParse(JSON.parse(text ?? 'null')).data;
}

/** Ids of those that have ended as they should, in the last two minutes. */
export async function haveLeft(redis: Redis, workers: readonly Heartbeat[]): Promise<ReadonlySet<string>> {
  if (workers.length === 0) return new Set();
  const marks = await redis.mget(workers.map(({ workerId }) => leftKey(workerId)));
  return new Set(workers.filter((_, index) => marks[index] !== null).map(({ workerId }) => workerId));
}

/** By GPU number. Found once for each list of heartbeats, since thousands of requests are placed by the same list. */
const currentByGpu = new WeakMap<readonly Heartbeat[], ReadonlyMap<number, Heartbeat>>();

/** The newest process of each GPU: a dead one's last heartbeat stays in Redis for some seconds. */
export function currentWorkers(heartbeats: readonly Heartbeat[]): Heartbeat[] {
  return [...byGpu(heartbeats).values()];
}

/** Whether a worker takes visual inputs in this form (visual-frames.ts). */
export function takesVisualForm(worker: Heartbeat | undefined, form: string): boolean {
  return form === 'floats' || (worker?.visualForms?.includes(form) ?? false);
}

/** The process that serves a GPU now. @param heartbeats of the farm; a list that is asked once must not change. */
export function workerOf(heartbeats: readonly Heartbeat[], gpuId: number): Heartbeat | undefined {
  return byGpu(heartbeats).get(gpuId);
}

function byGpu(heartbeats: readonly Heartbeat[]): ReadonlyMap<number, Heartbeat> {
  const known = currentByGpu.get(heartbeats);
  if (known) return known;
  const newest = new Map<number, Heartbeat>();
  for (const heartbeat of heartbeats) {
    const { gpuId, startedAtMs } = heartbeat;
    if (gpuId !== null && !((newest.get(gpuId)?.startedAtMs ?? -Infinity) >= startedAtMs)) newest.set(gpuId, heartbeat);
  }
  currentByGpu.set(heartbeats, newest);
  return newest;
}
