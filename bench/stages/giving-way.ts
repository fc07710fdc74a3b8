import { fileURLToPath } from 'node:url';
import { startBenchFarm } from '../bench-farm.ts';
import { GrpcCalls } from '../grpc-calls.ts';
import { quantile, row, type Stage } from '../harness/contract.ts';

/**
 * How long a live request of one frame takes while nothing else runs and while a render fills the GPU, and what a network
 * batch of that render takes: the wait may grow by one of these. Rounds of both kinds alternate.
 */

const SAMPLE_SPEECH = fileURLToPath(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
const MODEL_ID = 'demo';
const SECOND = Buffer.alloc(16_000 * Float32Array.BYTES_PER_ELEMENT);
const ROUNDS = 4;
const REQUESTS_A_ROUND = 10;
/** The default of render.batch_frames. */
const BATCH_FRAMES = 4;

export const stage: Stage = {
  about: 'a live request of one frame, alone and beside a render that fills the GPU',
  limitS: 60,
  async measure() {
    // One long segment: nothing but giving way lets a live request in.
    await using farm = await startBenchFarm(() => ({ render: { segment_frames: 10_000 } }));
    const calls = new GrpcCalls(farm.grpcAddress);
    try {
      const ask = async (): Promise<number> => {
        const startedAt = performance.now();
        await calls.infer(MODEL_ID, SECOND, 1);
        return performance.now() - startedAt;
      };
      const idle: number[] = [];
      const beside: number[] = [];
      const batchMs: number[] = [];
      for (let warmUp = 0; warmUp < REQUESTS_A_ROUND; warmUp++) await ask();
      for (let round = 0; round < ROUNDS; round++) {
        for (let n = 0; n < REQUESTS_A_ROUND; n++) idle.push(await ask());
        const { id } = await farm.client.submit(SAMPLE_SPEECH);
        for await (const view of farm.client.watch(id)) if (view.frames.done > 0) break;
        for (let n = 0; n < REQUESTS_A_ROUND; n++) beside.push(await ask());
        const view = await farm.client.get(id);
        if (view.status !== 'rendering') throw new Error(`The render was ${view.status} before the requests were`);
        const { stages = {} } = (await farm.client.finished(id)).timings_ms;
        const { visual_input = 0, inference = 0, composite = 0 } = stages as Record<string, number>;
        batchMs.push(((visual_input + inference + composite) / (view.frames.total ?? 1)) * BATCH_FRAMES);
      }
      const added = quantile(beside, 0.5) - quantile(idle, 0.5);
      return [
        row({ name: 'alone', unit: 'ms', values: idle }),
        row({ name: 'beside a render', unit: 'ms', values: beside }),
        row({ name: `a batch of that render, ${BATCH_FRAMES} frames`, unit: 'ms', values: batchMs }),
        row({ name: 'added by the render, p50', unit: 'ms', values: [added], atMost: quantile(batchMs, 0.5) }),
      ];
    } finally {
      calls.close();
    }
  },
};
