import { setPriority } from 'node:os';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { createLogger, UNBUFFERED } from '../../shared/process/log.ts';
import type { FromCompositor } from './compositor-protocol.ts';
import { Engine } from './engine.ts';
import type { FromPipelineThread, PipelineThreadSettings, ToPipelineThread } from './thread-protocol.ts';

/** Entry of the pipeline thread. */

/** On Linux this lowers the calling thread alone, and what it starts: ONNX Runtime's threads and ffmpeg. */
const NICENESS = 5;

if (!parentPort)
  throw new FarmError('internal', 'pipeline-thread-main.ts was started as a process: start it as a thread');
const port = parentPort;
// The thread that talks to Redis must get a core at once when it has something to do, however busy the machine is.
if (process.platform === 'linux') setPriority(NICENESS);
const { settings, compositor } = workerData as { settings: PipelineThreadSettings; compositor: MessagePort };
const log = createLogger(settings.log.processName, { ...UNBUFFERED, level: settings.log.level });
const engine = new Engine(settings, {
  log,
  send: (message: FromPipelineThread, handedOver = []) => port.postMessage(message, handedOver),
  toCompositor: (message) => compositor.postMessage(message),
  onClosed: () => {
    compositor.close();
    port.close();
  },
});
port.on('message', (message: ToPipelineThread) => engine.receive(message));
compositor.on('message', (message: FromCompositor) => engine.hear(message));
