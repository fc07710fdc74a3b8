import { OnnxLipSyncNetwork } from '../worker/onnx/lip-sync-network.ts';
import { QUIET_THREADS } from '../worker/onnx/onnx-session.ts';
import { InferenceSession, Tensor } from '../worker/onnx/onnxruntime.ts';
import {
  AUDIO_INPUT_FLOATS,
  mouthBytes,
  type NetworkSize,
  outputFloats,
  visualInputFloats,
} from '../worker/pipeline/contract.ts';
import { paintOutside } from '../worker/pipeline/picture-floats.ts';

/**
 * `node bench/network-process.ts WAY FILE S THREADS`: opens a network and runs it, frame by frame, when its parent says
 * how many. A process for each way, because the threads of one session slow the next in the same process. Ways: `bare`
 * is `session.run` on floats, with ONNX Runtime's own settings, whose threads spin while they wait; `asleep` is the same
 * with threads that sleep, as the farm's do; `outside` turns bytes into floats around that; `inside` is the farm's network.
 */

export type Way = 'bare' | 'asleep' | 'outside' | 'inside';

/** One turn, in milliseconds of a frame. */
export interface Turn {
  readonly ms: number;
  readonly cpuMs: number;
}

type RunFrame = () => Promise<unknown>;

async function openWay(way: Way, path: string, size: NetworkSize, threads: number): Promise<RunFrame> {
  const crops = Uint8Array.from({ length: mouthBytes(size) }, (_, index) => (index * 7919) % 256);
  const audio = new Float32Array(AUDIO_INPUT_FLOATS).fill(0.3);
  const mouths = new Uint8Array(mouthBytes(size));
  if (way === 'inside') {
    const network = await OnnxLipSyncNetwork.open(path, {
      providers: ['cpu'],
      threads: { intraOp: threads, interOp: 1 },
    });
    if (network.provider.outside) throw new Error(`${path} is not wrapped: ${network.provider.outside}`);
    return () => network.paint({ crops }, audio, mouths, 1);
  }
  const quiet = { intraOpNumThreads: threads, extra: { session: QUIET_THREADS } };
  const session = await InferenceSession.create(path, way === 'bare' ? {} : quiet);
  const visual = new Float32Array(visualInputFloats(size)).fill(0.4);
  const output = new Float32Array(outputFloats(size));
  const generate = async () => {
    const feeds = {
      input: new Tensor('float32', visual, [1, 6, size, size]),
      audio: new Tensor('float32', audio, [1, 32, 16, 16]),
    };
    await session.run(feeds, { output: new Tensor('float32', output, [1, 3, size, size]) });
    return output;
  };
  if (way !== 'outside') return generate;
  return () => paintOutside({ size, generate }, { crops }, audio, mouths, 1, () => visual);
}

async function takeTurn(runFrame: RunFrame, frames: number): Promise<Turn> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (let frame = 0; frame < frames; frame++) await runFrame();
  const ms = (performance.now() - startedAt) / frames;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1000 / frames };
}

async function main([way, path = '', size, threads]: readonly string[]): Promise<void> {
  const runFrame = await openWay(way as Way, path, size === '160' ? 160 : 320, Number(threads));
  process.on('message', (frames: number) => {
    void takeTurn(runFrame, frames).then((turn) => process.send?.(turn));
  });
  // Node's own exit may wait for a thread of V8 that waits for ever. There is nothing to finish here.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.send?.('open');
}

if (import.meta.main) await main(process.argv.slice(2));
