import { setPriority } from 'node:os';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { openArtifacts } from '../../shared/artifacts/open.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { createLogger, UNBUFFERED } from '../../shared/process/log.ts';
import type { CompositorThreadSettings, ToCompositor } from './compositor-protocol.ts';
import { FrameOutputs } from './frame-outputs.ts';

/** Entry of the compositor thread. */

/** As the pipeline thread: what talks to Redis goes first. */
const NICENESS = 5;

if (!parentPort)
  throw new FarmError('internal', 'compositor-thread-main.ts was started as a process: start it as a thread');
const main = parentPort;
if (process.platform === 'linux') setPriority(NICENESS);
const { settings, pipeline } = workerData as { settings: CompositorThreadSettings; pipeline: MessagePort };
createLogger(settings.log.processName, { ...UNBUFFERED, level: settings.log.level });
const outputs = new FrameOutputs({
  artifacts: openArtifacts(settings),
  toPipeline: (message) => pipeline.postMessage(message),
  toMain: (message, handedOver = []) => main.postMessage(message, handedOver),
});
// Frames of live requests, sent: nothing waits for this.
main.on('message', (memory: ArrayBuffer) => outputs.takeBack(memory)).unref();
pipeline.on('message', (message: ToCompositor) => {
  if (message.type === 'end') pipeline.close();
  else outputs.receive(message);
});
