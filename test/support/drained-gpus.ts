import type { FarmClient } from '../../client/index.ts';
import type { GpuView } from '../../shared/views/gpu-view.ts';
import { until } from './until.ts';

/** The farm reads all heartbeats and queues for an answer. */
const ASK_EVERY_MS = 60;

/**
 * Does something while these GPUs take no work, and puts each back into service, whatever has failed.
 * @throws SuppressedError where a GPU does not come back after something else has failed; both are in it.
 */
export async function whileDrained<T>(
  { client }: { readonly client: FarmClient },
  gpuIds: readonly number[],
  work: () => Promise<T>,
): Promise<T> {
  const areAll = async (state: GpuView['state'], ids = gpuIds) =>
    await until(
      `GPU ${ids.join(', ')} is ${state}`,
      async () => {
        const { gpus } = await client.gpus();
        return ids.every((id) => gpus.some(({ gpu, state: now }) => gpu === id && now === state));
      },
      ASK_EVERY_MS,
    );
  await using back = new AsyncDisposableStack();
  for (const gpuId of gpuIds) {
    back.defer(async () => {
      await client.resumeGpu(gpuId);
      await areAll('ready', [gpuId]);
    });
    await client.drainGpu(gpuId);
  }
  await areAll('drained');
  return await work();
}
