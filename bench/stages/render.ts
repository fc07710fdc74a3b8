import { fileURLToPath } from 'node:url';
import type { FarmClient } from '../../client/farm-client.ts';
import { readHeartbeats } from '../../shared/heartbeat.ts';
import { workerConnection } from '../../shared/redis.ts';
import { startBenchFarm } from '../bench-farm.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { ratios } from '../harness/rounds.ts';

/** Renders the sample speech several times through a whole farm, and through that of the build before in turn. */

const SAMPLE_SPEECH = fileURLToPath(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
const RUNS = 4;

interface RunFigures {
  readonly framesPerSecond: number;
  readonly totalMs: number;
  readonly stagesMsPerFrame: Record<string, number>;
}

export const stage: Stage = {
  about: 'a render of 9.3 s of speech to a 720p MP4 through a whole farm, demo avatar, one GPU worker on the CPU',
  limitS: 90,
  async measure({ before }) {
    await using farm = await startBenchFarm(() => ({}));
    await using other = before === undefined ? undefined : await startBenchFarm(() => ({}), before);
    await renderOnce(farm.client); // loads the model and fills the caches
    if (other) await renderOnce(other.client);
    const watch = watchEventLoops(farm.redisUrl);
    const runs: RunFigures[] = [];
    const othersRuns: RunFigures[] = [];
    for (let run = 0; run < RUNS; run++) {
      runs.push(await renderOnce(farm.client));
      if (other) othersRuns.push(await renderOnce(other.client));
    }
    return rowsOf(runs, othersRuns, Math.max(...(await watch.stop()).values()));
  },
};

async function renderOnce(client: FarmClient): Promise<RunFigures> {
  const { id } = await client.submit(SAMPLE_SPEECH);
  const { frames, frames_per_second, timings_ms } = await client.finished(id);
  const stages = Object.entries(timings_ms.stages ?? {});
  return {
    framesPerSecond: frames_per_second ?? 0,
    totalMs: timings_ms.total ?? 0,
    stagesMsPerFrame: Object.fromEntries(stages.map(([stage, ms]) => [stage, ms / frames.done])),
  };
}

/** Collects the longest block of each worker's main thread from its heartbeats, which cover all of the time. */
function watchEventLoops(redisUrl: string) {
  const redis = workerConnection(redisUrl);
  const longest = new Map<string, number>();
  const look = async (): Promise<void> => {
    for (const { workerId, eventLoopBlockedMaxMs } of await readHeartbeats(redis)) {
      longest.set(workerId, Math.max(longest.get(workerId) ?? 0, eventLoopBlockedMaxMs));
    }
  };
  // A look that fails is made up for by the next one.
  const timer = setInterval(() => void look().catch(() => {}), 1000);
  return {
    async stop(): Promise<Map<string, number>> {
      clearInterval(timer);
      await look();
      redis.disconnect();
      return longest;
    },
  };
}

function rowsOf(runs: readonly RunFigures[], others: readonly RunFigures[], blockedMs: number): Row[] {
  const speeds = (rounds: readonly RunFigures[]) => rounds.map((run) => run.framesPerSecond);
  return [
    row({ name: 'speed', unit: 'frames/s', values: speeds(runs) }),
    ...(others.length > 0 ? compared(speeds(runs), speeds(others)) : []),
    row({ name: 'submit to finished', unit: 'ms', values: runs.map((run) => run.totalMs) }),
    ...Object.keys(runs[0]?.stagesMsPerFrame ?? {}).map((stage) =>
      row({ name: stage, unit: 'ms/frame', values: runs.map((run) => run.stagesMsPerFrame[stage] ?? 0) }),
    ),
    row({ name: 'longest block of a thread that talks to Redis', unit: 'ms', values: [blockedMs] }),
  ];
}

function compared(speeds: readonly number[], others: readonly number[]): Row[] {
  return [
    row({ name: 'speed of the build before', unit: 'frames/s', values: others }),
    row({ name: 'speed : the build before', unit: 'ratio', values: ratios(speeds, others), atLeast: 1.4 }),
  ];
}
