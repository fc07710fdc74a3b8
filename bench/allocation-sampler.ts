import { mkdirSync, writeFileSync } from 'node:fs';
import { type HeapProfiler, Session } from 'node:inspector';
import path from 'node:path';
import { isMainThread, threadId } from 'node:worker_threads';
import type { AllocationOrder } from './allocations.ts';

/**
 * Loaded into each thread of a process by `--import`: notes which functions allocate on the heap, what was collected
 * meanwhile included, and writes that to a file when it is told to.
 */

/** One of so many bytes, on average, is noted with the function that allocated it. */
const SAMPLE_BYTES = 4096;

/** Opened at the order to start, since it takes memory. */
let session: Session | undefined;
const channel = new BroadcastChannel('allocations');
channel.unref();
channel.onmessage = (event) => {
  const { data: order } = event as { data: AllocationOrder };
  if (order.type === 'start') start();
  else if (order.type === 'write') write(order.folder);
};

function start(): void {
  session = new Session();
  session.connect();
  session.post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLE_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  } as HeapProfiler.StartSamplingParameterType);
}

/** The profile opens in the developer tools of Chrome. */
function write(folder: string): void {
  session?.post('HeapProfiler.stopSampling', (error, result) => {
    if (error) throw new Error(`thread ${threadId} has no profile: ${error.message}`);
    mkdirSync(folder, { recursive: true });
    const name = isMainThread ? 'main' : `thread-${threadId}`;
    writeFileSync(path.join(folder, `${name}.heapprofile`), JSON.stringify(result.profile));
  });
}
