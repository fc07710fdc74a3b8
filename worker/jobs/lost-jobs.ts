import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { hasEnded, ownIdentity, type ProcessIdentity } from '../../shared/process/process-life.ts';

/**
 * Jobs whose process has ended. Their locks keep them until these have run out; a process of the same host need not wait
 * for that, because it can see which processes live. So a job whose worker is started again is not delayed by its lock.
 */

/** What BullMQ notes of who runs a job. It is a part of a connection's name as well, which may have no spaces. */
export function workerName({ host, pid, startMark, pidSpace }: ProcessIdentity = ownIdentity()): string {
  return [host, String(pid), startMark ?? '', pidSpace ?? ''].map(encodeURIComponent).join('/');
}

function identityIn(name: string): ProcessIdentity {
  const [host = '', pid, startMark, pidSpace] = name.split('/').map(decodeURIComponent);
  return { host, pid: Number(pid), startMark: startMark || undefined, pidSpace: pidSpace || undefined };
}

/** KEYS job, its lock. ARGV who ran it. Deletes the lock, unless another worker has picked the job up meanwhile. */
const RELEASE = `if redis.call('HGET', KEYS[1], 'pb') == ARGV[1] then return redis.call('DEL', KEYS[2]) end return 0`;

/**
 * Takes the locks away from jobs of a queue that were begun by processes of this host which have ended. The next look for
 * stalled jobs finds them, and counts what they have cost, as if the lock had run out.
 */
export async function releaseLostJobs(queue: Queue, redis: Redis): Promise<void> {
  const active = await queue.getActive();
  for (const { id, processedBy } of active) {
    if (processedBy === undefined || !hasEnded(identityIn(processedBy))) continue;
    await redis.eval(RELEASE, 2, queue.toKey(`${id}`), queue.toKey(`${id}:lock`), processedBy);
  }
}
