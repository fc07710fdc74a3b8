import { parseArgs } from 'node:util';
import { loadConfig } from '../../shared/config/load.ts';
import { type ReportingTools, startReporting } from '../../shared/metrics/report.ts';
import { createLogger } from '../../shared/process/log.ts';
import { endUnstarted, reportReady, showLife } from '../../shared/process/supervised.ts';
import { RedisOutage } from '../../shared/redis/outage.ts';
import { startGpuWorker } from '../../worker/gpu-worker.ts';
import { makeTools } from '../../worker/make-tools.ts';

/**
 * Many GPU workers in one process: `node gpu-host.ts --from 0 --to 32 --frame-ms 2.5`. Each is the farm's own worker, with
 * a lease, queues, connections and a thread of its own; only what runs in that thread is simulated.
 */

async function start(): Promise<void> {
  const { values } = parseArgs({
    options: { from: { type: 'string' }, to: { type: 'string' }, 'frame-ms': { type: 'string' } },
  });
  const pipeline = new URL(`./simulated-thread.ts?frameMs=${values['frame-ms']}`, import.meta.url);
  const config = loadConfig();
  process.setMaxListeners(0);
  const reporting: ReportingTools[] = [];
  for (let gpuId = Number(values.from); gpuId < Number(values.to); gpuId++) {
    const name = `gpu-${gpuId}`;
    const log = createLogger(name, config.logging);
    const tools = await makeTools(config, log);
    await startGpuWorker(gpuId, config, tools, { pipeline });
    new RedisOutage(tools.connection, log);
    reporting.push({ redis: tools.connection, name, log });
  }
  // As in worker/main.ts. All at once: the first tells what all workers of this process have counted in two seconds.
  for (const each of reporting) startReporting(each);
  reportReady();
}

showLife();
// What it worked on is of no use to anybody once the benchmark is over.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0));
process.once('disconnect', () => process.exit(0));
start().catch(endUnstarted);
