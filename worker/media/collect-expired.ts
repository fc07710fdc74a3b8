import type { Redis } from 'ioredis';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import type { Collector } from '../../shared/retention/collector.ts';
import { isNextTurn } from '../../shared/retention/collector-lease.ts';
import { MINUTE_MS } from '../../shared/units.ts';

const LOOK_EVERY_MS = 20_000;

/**
 * Removes what has expired, once in so many minutes in the whole farm: of its media workers, one gets the turn.
 * @param everyMinutes 0: never.
 */
export function startCollecting(
  { redis, collector, log }: { readonly redis: Redis; readonly collector: Collector; readonly log: RepeatLog },
  everyMinutes: number,
): Repeated {
  const look = async () => {
    if (everyMinutes === 0 || !(await isNextTurn(redis, everyMinutes * MINUTE_MS))) return;
    const collected = await collector.collect().catch((error: unknown) => {
      // Somebody does it by hand.
      if (FarmError.from(error).code === 'gc_running') return [];
      throw error;
    });
    const failed = collected.filter(({ fault }) => fault !== undefined);
    const bytes = collected.reduce((sum, item) => (item.fault ? sum : sum + item.bytes), 0);
    for (const { kind, id, reason, fault } of collected) log.info({ kind, id, reason, fault }, 'expired');
    if (collected.length > 0)
      log.info({ removed: collected.length - failed.length, bytes }, 'removed what had expired');
  };
  const everyMs = Math.min(LOOK_EVERY_MS, Math.max(1000, everyMinutes * MINUTE_MS));
  return repeat(look, { name: 'remove what has expired', everyMs, log });
}
