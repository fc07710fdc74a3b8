import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import type { GpuView } from '../../shared/views/gpu-view.ts';
import { startGpuProcess } from '../gpu/gpu-process.ts';
import type { TestFarm } from '../support/farm.ts';
import { until } from '../support/until.ts';

/** The farm reads all heartbeats and queues for an answer. */
const ASK_EVERY_MS = 60;

/**
 * Starts a GPU worker for a running farm that no supervisor looks after, as on another host.
 * @param models laid over the farm's own in this worker's configuration.
 * @param redisUrl another way to the farm's Redis.
 */
export async function startSecondWorker(
  farm: TestFarm,
  gpuId: number,
  models: Record<string, object> = {},
  redisUrl: string = farm.farm.redisUrl,
): Promise<ChildProcess> {
  const own = parse(await readFile(path.join(farm.folder, 'config.yaml'), 'utf8')) as { models: object };
  const configPath = path.join(farm.folder, `gpu-${gpuId}.yaml`);
  await writeFile(configPath, stringify({ ...own, models: { ...own.models, ...models } }));
  return await startGpuProcess(gpuId, configPath, redisUrl);
}

/** What the farm says of a GPU once that fits. */
export async function gpuOnce(
  { client }: TestFarm,
  gpuId: number,
  what: string,
  fits: (gpu: GpuView) => boolean,
): Promise<GpuView> {
  let found: GpuView | undefined;
  const ask = async () => {
    found = (await client.gpus()).gpus.find(({ gpu }) => gpu === gpuId);
    return found !== undefined && fits(found);
  };
  await until(`GPU ${gpuId} is ${what}`, ask, ASK_EVERY_MS);
  return found as GpuView;
}

/** The GPUs that render a file, as frames: which cost less than a video. */
export async function gpusThatRender({ client }: TestFarm, speech: string, modelId: string): Promise<Set<number>> {
  const { id } = await client.submit(speech, { modelId, output: 'frames' });
  await client.finished(id);
  return new Set((await client.receipt(id)).segments.map(({ gpu }) => gpu));
}

/**
 * Renders a file, and says by which GPUs and to which bytes.
 * @param meanwhile runs once `framesDone` frames are done.
 */
export async function renderOn(
  { client }: TestFarm,
  speech: string,
  modelId: string,
  meanwhile: () => Promise<unknown> = async () => {},
  framesDone = 1,
): Promise<{ sha256: string | undefined; gpus: number[] }> {
  const { id } = await client.submit(speech, { modelId });
  for await (const { frames } of client.watch(id)) if (frames.done >= framesDone) break;
  await meanwhile();
  await client.finished(id);
  const { video, segments } = await client.receipt(id);
  return { sha256: video?.sha256, gpus: segments.map(({ gpu }) => gpu) };
}
