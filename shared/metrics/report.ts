import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { EventLoopMonitor } from '../process/event-loop-monitor.ts';
import { type RepeatLog, repeat } from '../process/repeat.ts';
import { logged } from '../process/unheard.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { COUNTS_KEY } from './series.ts';
import { count, DROPPED_FIELD, takeCounts } from './tally.ts';

/**
 * Each process tells Redis every two seconds what it has counted, and how it is. Any front end answers `/metrics` from
 * there, for the whole farm. A process that is killed takes the counts of its last two seconds with it.
 */

/** A hash: process → "seconds since 1970, by the clock of Redis", a space, and its report. */
export const PROCESSES_KEY = `${KEY_PREFIX}:metrics:processes`;
/** The last sequence number that was added, so that what comes again is not added again. */
const markKey = (processId: string) => `${KEY_PREFIX}:metrics:told:${processId}`;

const TELL_EVERY_MS = 2000;
/** Longer than any answer can be late. */
const MARK_LIFETIME_MS = 600_000;
/** A process that has not told of itself for so long is gone. */
const GONE_AFTER_S = 10;
/** Series of the whole farm. Hundreds of models on hundreds of GPUs have fewer: beyond it something is wrong. */
const MOST_SERIES = 50_000;

const reportSchema = z.object({
  /** `api`, `media`, `gpu-0`: the same after a restart. */
  name: z.string(),
  host: z.string(),
  startedAtMs: z.number(),
  memoryBytes: z.number(),
  /** Longest time for which the thread that talks to Redis was blocked, since the last report. */
  eventLoopBlockedMaxMs: z.number(),
  /** Jobs that run now. */
  runningJobs: z.int().nonnegative().optional(),
  /** Of each of them, as far as there are places, how long ago it last showed progress. */
  jobs: z.array(z.object({ job: z.string(), place: z.int(), idleMs: z.number() })).optional(),
});
export type ProcessReport = z.infer<typeof reportSchema>;

/**
 * KEYS counts, mark, reports. ARGV sequence number, lifetime of the mark in ms, most series, field of what is left out,
 * process, its report, then field, amount, … Adds the amounts once, whenever this comes.
 */
const TELL = `
redis.call('HSET', KEYS[3], ARGV[5], redis.call('TIME')[1] .. ' ' .. ARGV[6])
if tonumber(redis.call('GET', KEYS[2]) or '0') >= tonumber(ARGV[1]) then return 0 end
local room = tonumber(ARGV[3]) - redis.call('HLEN', KEYS[1])
local dropped = 0
for i = 7, #ARGV, 2 do
  if room > 0 or redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1])
    if room < 100 then room = tonumber(ARGV[3]) - redis.call('HLEN', KEYS[1]) end
  else dropped = dropped + 1 end
end
if dropped > 0 then redis.call('HINCRBYFLOAT', KEYS[1], ARGV[4], dropped) end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return dropped
`;

export interface Reporting {
  /** Tells what is left, and that this process is gone. Never rejects. */
  stop(): Promise<void>;
}

export interface ReportingTools {
  readonly redis: Redis;
  /** As in the report. */
  readonly name: string;
  readonly log: RepeatLog;
  /** The jobs of a worker. */
  readonly jobs?: () => Pick<ProcessReport, 'runningJobs' | 'jobs'>;
}

/** Tells Redis every two seconds what this process has counted and how it is. Call it once in a process. */
export function startReporting({ redis, name, log, jobs = () => ({}) }: ReportingTools): Reporting {
  const teller = new Teller(redis, name, jobs);
  count('farm_process_starts_total', { process: name });
  const telling = repeat(() => teller.tell(), {
    ...{ name: 'tell what was counted', everyMs: TELL_EVERY_MS, log, first: 'now', keepsProcessAlive: false },
  });
  return {
    async stop() {
      await telling.stop();
      await teller.leave().catch(logged('what was counted last is lost'));
    },
  };
}

class Teller {
  readonly #redis: Redis;
  readonly #name: string;
  readonly #jobs: NonNullable<ReportingTools['jobs']>;
  readonly #id: string;
  readonly #startedAtMs = Date.now();
  readonly #eventLoop = new EventLoopMonitor();
  #cpu = process.cpuUsage();
  #sequence = 0;
  /** What was sent and has had no answer. */
  #sending: ReadonlyMap<string, number> | undefined;

  constructor(redis: Redis, name: string, jobs: NonNullable<ReportingTools['jobs']>) {
    this.#redis = redis;
    this.#name = name;
    this.#jobs = jobs;
    this.#id = `${name}-${randomUUID().slice(0, 8)}`;
  }

  async tell(): Promise<void> {
    if (!this.#sending) {
      this.#countCpu();
      this.#sending = takeCounts();
      this.#sequence++;
    }
    const amounts = [...this.#sending].flat();
    const settings = [this.#sequence, MARK_LIFETIME_MS, MOST_SERIES, DROPPED_FIELD];
    const keys = [COUNTS_KEY, markKey(this.#id), PROCESSES_KEY];
    await this.#redis.eval(TELL, 3, ...keys, ...settings, this.#id, JSON.stringify(this.#report()), ...amounts);
    this.#sending = undefined;
  }

  async leave(): Promise<void> {
    if (this.#sending) await this.tell();
    await this.tell();
    await this.#redis.multi().hdel(PROCESSES_KEY, this.#id).del(markKey(this.#id)).exec();
  }

  #report(): ProcessReport {
    return {
      name: this.#name,
      host: hostname(),
      startedAtMs: this.#startedAtMs,
      memoryBytes: process.memoryUsage.rss(),
      eventLoopBlockedMaxMs: Math.round(this.#eventLoop.takeMaxMs()),
      ...this.#jobs(),
    };
  }

  #countCpu(): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    count('farm_cpu_seconds_total', { process: this.#name }, (user + system) / 1e6);
  }
}

/** The processes that live, in the order of their starts. Those that are long gone are removed on the way. */
export async function readReports(redis: Redis): Promise<ProcessReport[]> {
  const [entries, [seconds]] = await Promise.all([redis.hgetall(PROCESSES_KEY), redis.time()]);
  const isGone = (text: string) => Number(seconds) - Number.parseInt(text, 10) > GONE_AFTER_S;
  const gone = Object.keys(entries).filter((id) => isGone(entries[id] ?? ''));
  if (gone.length > 0) await redis.hdel(PROCESSES_KEY, ...gone);
  return Object.values(entries)
    .filter((text) => !isGone(text))
    .flatMap((text) => reportSchema.safeParse(JSON.parse(text.slice(text.indexOf(' ')))).data ?? [])
    .sort((a, b) => a.startedAtMs - b.startedAtMs);
}
