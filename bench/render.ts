import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { FarmClient } from '../client/farm-client.ts';
import { readHeartbeats } from '../shared/heartbeat.ts';
import { workerConnection } from '../shared/redis.ts';
import { startBenchFarm } from './bench-farm.ts';
import { MACHINE, saveFigures } from './figures.ts';
import { type Spread, spread } from './spread.ts';

/**
 * `npm run bench:render`: renders the sample speech several times through a whole farm and prints the speed, where the
 * time goes and how long the thread that talks to Redis was blocked at most. Writes bench/out/render.json.
 */

const SAMPLE_SPEECH = fileURLToPath(new URL('../avatars/demo/sample-speech.wav', import.meta.url));

interface RunFigures {
  readonly framesPerSecond: number;
  readonly totalMs: number;
  readonly stagesMsPerFrame: Record<string, number>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { runs: { type: 'string', default: '5' }, gpus: { type: 'string', default: '1' } },
  });
  await using farm = await startBenchFarm(() => ({ gpus: { count: Number(values.gpus) } }));
  await renderOnce(farm.client); // loads the model and fills the caches
  const watch = watchEventLoops(farm.redisUrl);
  const runs: RunFigures[] = [];
  for (let run = 0; run < Number(values.runs); run++) runs.push(await renderOnce(farm.client));
  await report(runs, Number(values.gpus), await watch.stop());
}

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

async function report(runs: readonly RunFigures[], gpuCount: number, blockedMs: Map<string, number>): Promise<void> {
  const stages = Object.keys(runs[0]?.stagesMsPerFrame ?? {});
  const figures = {
    gpuCount,
    runs: runs.length,
    framesPerSecond: spread(runs.map((run) => run.framesPerSecond)),
    totalMs: spread(runs.map((run) => run.totalMs)),
    stagesMsPerFrame: Object.fromEntries(
      stages.map((stage) => [stage, spread(runs.map((run) => run.stagesMsPerFrame[stage] ?? 0))]),
    ),
    eventLoopBlockedMaxMs: Object.fromEntries(blockedMs),
  };
  const line = (name: string, { min, median, max }: Spread, unit: string) =>
    `  ${name.padEnd(24)}${median.toFixed(2).padStart(9)} ${unit}   (${min.toFixed(2)} … ${max.toFixed(2)})`;
  process.stdout.write(
    [
      `${MACHINE}; ${gpuCount} GPU worker(s) on the CPU; median of ${runs.length} renders (min … max)`,
      line('speed', figures.framesPerSecond, 'frames/s'),
      line('submit to finished', figures.totalMs, 'ms'),
      ...Object.entries(figures.stagesMsPerFrame).map(([stage, ms]) => line(stage, ms, 'ms/frame')),
      'Longest block of the thread that talks to Redis',
      ...[...blockedMs].map(([worker, ms]) => `  ${worker.padEnd(24)}${String(ms).padStart(9)} ms`),
      '',
    ].join('\n'),
  );
  await saveFigures('render', figures);
}

await main();
