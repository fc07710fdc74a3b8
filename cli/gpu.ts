import type { GpuView } from '../shared/views/gpu-view.ts';
import type { ProcessState } from '../shared/views/process-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './options.ts';
import { table } from './table.ts';

/** `farm gpus`, `farm gpu list`: one line a GPU, then one for each model that it cannot use or has blocked. */
export async function listGpus(options: FarmOptions & JsonOption): Promise<void> {
  const list = await openFarm(options).gpus();
  if (options.json) return printJson(list);
  const { gpus, capacity, processes } = list;
  const rows = [
    ['GPU', 'STATE', 'HOST', 'DEVICE', 'JOBS', 'STREAMS', 'MODELS'],
    ...gpus.map((gpu) => [
      String(gpu.gpu),
      gpu.state,
      gpu.host ?? '-',
      gpu.device ?? gpu.provider ?? '-',
      String(gpu.backlog.jobs),
      `${gpu.capacity.used}/${gpu.capacity.streams}`,
      gpu.models.flatMap(({ loaded, model_id }) => (loaded ? [model_id] : [])).join(' ') || '-',
    ]),
  ];
  process.stdout.write(`${table(rows)}\n${gpus.map(complaints).join('')}`);
  process.stdout.write(processes.map(describeProcess).join(''));
  process.stdout.write(`\nfree capacity: ${capacity.free} of ${capacity.streams} live streams\n`);
}

/** Those that run as they should are not worth a line. */
function describeProcess({ name, state, restarts, last_end }: ProcessState): string {
  if (state === 'running') return '';
  const ended = last_end === null ? '' : `; it has ended ${restarts} times in a row, last: ${last_end}`;
  return `process ${name} is ${state === 'waiting' ? 'waiting for its next start' : 'starting'}${ended}\n`;
}

/** `farm gpu drain N`. */
export async function drainGpu(gpu: number, options: FarmOptions & JsonOption): Promise<void> {
  say(await openFarm(options).drainGpu(gpu), options);
}

/** `farm gpu resume N`. */
export async function resumeGpu(gpu: number, options: FarmOptions & JsonOption): Promise<void> {
  say(await openFarm(options).resumeGpu(gpu), options);
}

function say(view: GpuView, { json }: JsonOption): void {
  const { gpu, state, backlog } = view;
  if (json) printJson(view);
  else process.stdout.write(`GPU ${gpu} is ${state}; jobs: ${backlog.active} running, ${backlog.waiting} waiting\n`);
}

function complaints({ gpu, models }: GpuView): string {
  return models
    .flatMap(({ model_id, problems, blocked }) => {
      const because = blocked ? [`blocked since ${blocked.since}: ${blocked.reason}`] : problems;
      return because.map((reason) => `GPU ${gpu}: ${model_id} ${reason}\n`);
    })
    .join('');
}
