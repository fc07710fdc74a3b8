import { setTimeout as delay } from 'node:timers/promises';
import type { FarmClient } from '../../client/index.ts';

const LOOK_EVERY_MS = 20;

/** Whether a GPU is at work on a segment of this render. */
export async function runsSegment(client: FarmClient, renderId: string, gpuId: number): Promise<boolean> {
  const { gpus } = await client.gpus();
  return gpus.some(({ gpu, renders }) => gpu === gpuId && renders.includes(renderId));
}

/**
 * Submits a render, and returns it with the GPU that is first seen at work on a segment of it. Progress is told up to a
 * second late, when a short render may have ended; one that ends unseen is followed by another.
 * @param framesDone frames of the render that are to be done by then.
 */
export async function untilSegmentRuns(
  client: FarmClient,
  submit: () => Promise<{ readonly id: string }>,
  framesDone = 0,
): Promise<{ readonly id: string; readonly gpu: number }> {
  for (let tries = 3; tries > 0; tries--) {
    const { id } = await submit();
    for (let hasEnded = false; !hasEnded; ) {
      const { finished_at, frames } = await client.get(id);
      const at = (await client.gpus()).gpus.find(({ renders }) => renders.includes(id));
      if (at && frames.done >= framesDone) return { id, gpu: at.gpu };
      hasEnded = finished_at !== null;
      await delay(LOOK_EVERY_MS);
    }
  }
  throw new Error('Every render has ended before one of its segments was seen to run');
}
