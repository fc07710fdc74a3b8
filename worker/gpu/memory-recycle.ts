import type { Logger } from '../../shared/process/log.ts';
import { repeat } from '../../shared/process/repeat.ts';
import { unexpected } from '../../shared/process/unheard.ts';
import { GB } from '../../shared/units.ts';
import type { ThreadModels } from '../engine/thread-protocol.ts';

/**
 * Memory that the process may take beyond what its models explain. 200 loads and unloads of a network of 50 MB left 0.2
 * GB, which did not grow further, or 0.7 GB with an allocator that keeps what is freed; three times as much is a leak.
 */
const BOUND_BYTES = 2 * GB;
const LOOK_EVERY_MS = 10_000;

export interface RecycleTools {
  readonly models: () => Pick<ThreadModels, 'loaded' | 'memory'>;
  readonly log: Logger;
  /** Drains and ends this process; the supervisor starts another. */
  readonly recycle: () => void;
  readonly boundBytes?: number;
  readonly lookEveryMs?: number;
}

/**
 * Ends the process by draining it once its memory has grown past what its models explain: every session that is opened
 * and closed leaks a little. Does nothing where no supervisor would start the process again.
 */
export function startMemoryRecycle(tools: RecycleTools): () => Promise<void> {
  const { models, log, recycle, boundBytes = BOUND_BYTES, lookEveryMs = LOOK_EVERY_MS } = tools;
  if (!process.send) return async () => {};
  // Memory of the process without models. The libraries that are loaded with the first model count as part of it.
  let base = process.memoryUsage.rss();
  let hadModels = false;
  const look = () => {
    const { loaded, memory } = models();
    const unexplained = process.memoryUsage.rss() - memory.hostBytes;
    if (loaded.size > 0 && !hadModels) {
      hadModels = true;
      base = Math.max(base, unexplained);
    }
    if (unexplained - base <= boundBytes) return;
    looking.stop().catch(unexpected);
    log.warn({ unexplainedBytes: unexplained - base, boundBytes }, 'memory has grown too far; restarting the process');
    recycle();
  };
  const looking = repeat(look, {
    ...{ name: 'look at the memory of the process', everyMs: lookEveryMs, log, keepsProcessAlive: false },
  });
  return looking.stop;
}
