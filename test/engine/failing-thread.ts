import { parentPort, workerData } from 'node:worker_threads';

/** A pipeline thread that fails at the first thing it is asked to do, in one of the ways in which threads fail. */

const { how } = workerData as { how: string };
parentPort?.on('message', () => {
  if (how === 'throws') throw new Error('a bad day');
  // As long as the test needs: a thread in the middle of a computation keeps its process from ending.
  if (how === 'hangs') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
  process.exit(0);
});
