import { type MessagePort, parentPort, workerData } from 'node:worker_threads';

/**
 * A thread that fails at the first thing it is asked to do, in one of the ways in which threads fail. As the pipeline
 * thread it is asked by the main thread; as the compositor thread, by the pipeline thread.
 */

const { settings, pipeline } = workerData as { settings: { how: string }; pipeline?: MessagePort };
(pipeline ?? parentPort)?.on('message', () => {
  if (settings.how === 'throws') throw new Error('a bad day');
  // As long as the test needs: a thread in the middle of a computation keeps its process from ending.
  if (settings.how === 'hangs') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
  process.exit(0);
});
