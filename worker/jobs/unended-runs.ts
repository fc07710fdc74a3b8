import { setTimeout as delay } from 'node:timers/promises';
import type { Job as BullJob } from 'bullmq';
import type { Redis } from 'ioredis';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { logged } from '../../shared/process/unheard.ts';
import { untilRedisTakes } from './redis-patience.ts';

/**
 * How often a job has ended its worker. BullMQ counts lost locks, and a lock is lost as well when Redis refuses or is
 * away for a few seconds, though the worker lives. So each run leaves a field in the job when it begins, and takes it out
 * when it ends, however it ends: only a process that has died leaves one behind.
 */

/** How many workers a job may end before it is given up. */
const MOST_DEATHS = 2;
/** BullMQ removes it with the job. */
const FIELD = 'run:';

/**
 * KEYS job. ARGV field, who runs it, prefix of such fields, how many may have died. Returns how many runs before have not
 * ended; more than that, and none begins.
 */
const BEGIN = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local unended = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, #ARGV[3]) == ARGV[3] and field ~= ARGV[1] then unended = unended + 1 end
end
if unended <= tonumber(ARGV[4]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return unended
`;

/** How long a process that ends waits for Redis to note that its jobs did not end it. */
const LAST_NOTE_MS = 500;

/** Runs of this process that are not noted as over. */
const open = new Map<string, Place>();

interface Place {
  readonly key: string;
  readonly field: string;
}

export class UnendedRuns {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Notes that a job begins. FarmError('worker_lost') when it has ended too many workers. */
  async begin(job: BullJob): Promise<void> {
    const { key, field } = placeOf(job);
    open.set(key + field, { key, field });
    const by = job.processedBy ?? '';
    const deaths = (await this.#redis.eval(BEGIN, 1, key, field, by, FIELD, MOST_DEATHS)) as number;
    if (deaths > MOST_DEATHS) throw new FarmError('worker_lost', `The job ended its worker ${deaths} times`);
  }

  /** Notes that the job's run has ended and its worker lives, as soon as Redis takes that. */
  end(job: BullJob): void {
    const { key, field } = placeOf(job);
    const counts = logged('could not note that the run of a job has ended; it counts as if it had ended its worker');
    const note = async () => {
      await this.#redis.hdel(key, field);
      open.delete(key + field);
    };
    untilRedisTakes(note).catch(counts);
  }
}

/** For a process that ends itself for a reason that is not its jobs' fault: none of them counts as having ended it. */
export async function endAllRuns(redis: Redis): Promise<void> {
  const notes = [...open.values()].map(({ key, field }) => redis.hdel(key, field));
  await Promise.race([Promise.all(notes), delay(LAST_NOTE_MS)]);
}

function placeOf(job: BullJob): Place {
  return { key: `${job.queueQualifiedName}:${job.id}`, field: `${FIELD}${job.attemptsStarted}` };
}
