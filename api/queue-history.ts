import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Config } from '../shared/config/load.ts';
import { GPU_QUEUE_BEGINS, GPU_ROSTER_KEY, MEDIA_QUEUES } from '../shared/jobs/queues.ts';
import { COUNTS_KEY, counterField } from '../shared/metrics/series.ts';
import { type Repeated, type RepeatLog, repeat } from '../shared/process/repeat.ts';
import { KEY_PREFIX } from '../shared/redis/key-prefix.ts';
import { MINUTE_MS } from '../shared/units.ts';
import type { QueueHistories } from '../shared/views/queue-history-view.ts';

/** The last minutes of the queues, kept in Redis, so that whoever looks sees them at once, from any front end. */

/** What frames are counted by. */
export const WORK_KINDS = ['render', 'live'];

const SAMPLE_EVERY_MS = 5000;
/** A little shorter, so that a front end that is alone has its turn each time. */
const TURN_MS = 4500;
const MINUTES = 10;
const MOST_SAMPLES = (MINUTES * MINUTE_MS) / SAMPLE_EVERY_MS;

const TURN_KEY = `${KEY_PREFIX}:queues:sampled`;
const SAMPLES_KEY = `${KEY_PREFIX}:queues:history`;
const FRAMES_KEY = `${KEY_PREFIX}:gpus:last-frame`;

/** Stands for the number of a GPU in the name of a count. */
const ANY_GPU = '\n';

/**
 * One sample of all queues, unless another front end has just taken one. KEYS turn, roster of GPUs, counts, samples, last
 * frames. ARGV duration of a turn in ms, samples to keep, beginning of BullMQ's keys, beginning of a GPU's queue, how many
 * other queues, these, and the names of the counts of frames. A sample is JSON: [ms, queue, jobs, frames, …], with -1
 * frames for a queue that is no GPU's. GPUs that have nothing to do and have made nothing are left out. A last frame is
 * "frames ms", with 0 ms while it is not known when they were made.
 */
const SAMPLE = `
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local sample = { now }
local others = tonumber(ARGV[5])
local function jobs_on(queue)
  local key = ARGV[3] .. queue .. ':'
  return redis.call('LLEN', key .. 'wait') + redis.call('ZCARD', key .. 'prioritized')
    + redis.call('ZCARD', key .. 'delayed') + redis.call('LLEN', key .. 'active')
end
local function frames_of(gpu)
  local fields, sum = {}, 0
  for i = 6 + others, #ARGV do table.insert(fields, (string.gsub(ARGV[i], '${'\\n'}', gpu))) end
  if #fields == 0 then return 0 end
  for _, count in ipairs(redis.call('HMGET', KEYS[3], unpack(fields))) do sum = sum + tonumber(count or 0) end
  return sum
end
local function note_frames(gpu, frames)
  local known = redis.call('HGET', KEYS[5], gpu)
  local before = known and tonumber(string.match(known, '^%d+'))
  if before == frames then return end
  local at = (before and frames > before) and now or 0
  redis.call('HSET', KEYS[5], gpu, string.format('%d %d', frames, at))
end
for i = 6, 5 + others do
  for _, value in ipairs({ ARGV[i], jobs_on(ARGV[i]), -1 }) do table.insert(sample, value) end
end
for _, gpu in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local queue = ARGV[4] .. gpu
  local jobs, frames = jobs_on(queue), frames_of(gpu)
  note_frames(gpu, frames)
  if jobs + frames > 0 then
    for _, value in ipairs({ queue, jobs, frames }) do table.insert(sample, value) end
  end
end
redis.call('LPUSH', KEYS[4], cjson.encode(sample))
redis.call('LTRIM', KEYS[4], 0, ARGV[2] - 1)
return 1
`;

const sampleSchema = z.tuple([z.number()], z.union([z.number(), z.string()]));

interface Sample {
  readonly atMs: number;
  readonly queues: ReadonlyMap<string, { readonly jobs: number; readonly frames: number }>;
}

export class QueueHistory {
  readonly #redis: Redis;
  readonly #config: Pick<Config, 'models'>;
  #sampling: Repeated | undefined;

  constructor(config: Pick<Config, 'models'>, redis: Redis) {
    this.#redis = redis;
    this.#config = config;
  }

  /** Takes part in sampling until {@link stop}: one command of each front end in five seconds, and one script of all. */
  start(log: RepeatLog): void {
    this.#sampling = repeat(() => this.sample(), {
      ...{ name: 'sample the queues', everyMs: SAMPLE_EVERY_MS, log },
      ...({ first: 'now', keepsProcessAlive: false } as const),
    });
  }

  async stop(): Promise<void> {
    await this.#sampling?.stop();
  }

  /** One sample, unless there is one from right before. */
  async sample(): Promise<void> {
    const frames = [...this.#config.models.keys()].flatMap((model) =>
      WORK_KINDS.map((kind) => counterField('farm_frames_total', { model, gpu: ANY_GPU, kind })),
    );
    const keys = [TURN_KEY, GPU_ROSTER_KEY, COUNTS_KEY, SAMPLES_KEY, FRAMES_KEY];
    const names = [`${KEY_PREFIX}:`, GPU_QUEUE_BEGINS, MEDIA_QUEUES.length, ...MEDIA_QUEUES, ...frames];
    await this.#redis.eval(SAMPLE, keys.length, ...keys, TURN_MS, MOST_SAMPLES, ...names);
  }

  async read(): Promise<QueueHistories> {
    const [texts, lastFrames] = await Promise.all([
      this.#redis.lrange(SAMPLES_KEY, 0, -1),
      this.#redis.hgetall(FRAMES_KEY),
    ]);
    const all = texts.flatMap(readSample).reverse();
    // Before a pause of all front ends there may be older ones.
    const oldestMs = (all.at(-1)?.atMs ?? 0) - MINUTES * MINUTE_MS;
    const samples = all.filter(({ atMs }) => atMs >= oldestMs);
    const names = [...new Set(samples.flatMap(({ queues }) => [...queues.keys()]))].sort(inOrder);
    return {
      times: samples.map(({ atMs }) => new Date(atMs).toISOString()),
      minutes: MINUTES,
      queues: names.map((queue) => historyOf(queue, samples, lastFrames)),
    };
  }
}

/** None when a newer version has written it in another form. */
function readSample(text: string): Sample[] {
  const read = sampleSchema.safeParse(JSON.parse(text));
  if (!read.success) return [];
  const [atMs, ...rest] = read.data;
  const queues = new Map<string, { jobs: number; frames: number }>();
  for (let at = 0; at < rest.length; at += 3) {
    queues.set(String(rest[at]), { jobs: Number(rest[at + 1]), frames: Number(rest[at + 2]) });
  }
  return [{ atMs, queues }];
}

function historyOf(
  queue: string,
  samples: readonly Sample[],
  lastFrames: Readonly<Record<string, string>>,
): QueueHistories['queues'][number] {
  const gpu = queue.startsWith(GPU_QUEUE_BEGINS) ? queue.slice(GPU_QUEUE_BEGINS.length) : undefined;
  const lastMs = Number(lastFrames[gpu ?? '']?.split(' ')[1] ?? 0);
  return {
    queue,
    gpu: gpu === undefined ? null : Number(gpu),
    jobs: samples.map(({ queues }) => queues.get(queue)?.jobs ?? null),
    frames_per_second: samples.map((sample, at) => rateOf(queue, samples[at - 1], sample)),
    last_frame_at: lastMs > 0 ? new Date(lastMs).toISOString() : null,
  };
}

function rateOf(queue: string, before: Sample | undefined, sample: Sample): number | null {
  const [first, last] = [before?.queues.get(queue)?.frames ?? -1, sample.queues.get(queue)?.frames ?? -1];
  if (!before || first < 0 || last < 0) return null;
  const perSecond = (1000 * (last - first)) / Math.max(1, sample.atMs - before.atMs);
  return Math.max(0, Math.round(10 * perSecond) / 10);
}

function inOrder(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
