import type { Redis } from 'ioredis';

/** Writes heartbeats of GPU workers that are not there, as Redis holds them: they have "ann" in memory, of 10 ms a frame. */
export function tellsOf(redis: Redis) {
  return async (gpuId: number, more: object = { ownLiveChannels: true }, ofModel: object = {}): Promise<void> => {
    const workerId = `worker-${gpuId}`;
    const usage = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
    const loaded = { loadMs: 90, msPerFrame: 8, loadedAtMs: 7, memoryBytes: 1024 };
    const cost = { loadMs: 90, frameMs: 10 };
    const models = [{ modelId: 'ann', loaded, problems: [], cost, blocked: null, usage, ...ofModel }];
    const about = { host: 'here', pid: 1, startedAtMs: 5, provider: null, device: null, draining: false };
    const heartbeat = { workerId, gpuId, ...about, models, runningJobs: 0, eventLoopBlockedMaxMs: 0, ...more };
    await redis.set(`{farm}:heartbeat:${workerId}`, JSON.stringify(heartbeat));
    await redis.sadd('{farm}:workers', workerId);
  };
}

/** How often Redis has done a command, in scripts too. */
export async function calls(redis: Redis, command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.info('commandstats'))?.[1] ?? 0);
}
