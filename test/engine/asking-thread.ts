import { type MessagePort, parentPort, workerData } from 'node:worker_threads';

/** A pipeline thread that hands whatever it is asked on to the compositor thread, and does nothing itself. */

const { compositor } = workerData as { compositor: MessagePort };
parentPort?.on('message', (message) => compositor.postMessage(message));
