import type { HostView } from '../shared/views/host-view.ts';
import type { NumberOwner } from '../shared/workers/gpu-numbers.ts';
import { currentWorkers, type Heartbeat } from '../shared/workers/heartbeat.ts';
import { hostNameOf } from '../shared/workers/no-worker.ts';

/** What the farm says of its hosts, from what their workers say of themselves. Pure. */

export interface KnownOfHosts {
  readonly heartbeats: readonly Heartbeat[];
  /** Ms since the last sign of life, by worker. */
  readonly ages: ReadonlyMap<string, number>;
  readonly numbers: ReadonlyMap<number, NumberOwner>;
  /** Names of hosts that are out of service. */
  readonly drained: ReadonlySet<string>;
}

/** Farther apart, times of renders and waits that several hosts write are confusing. */
const CLOCK_TOLERANCE_MS = 1000;

/** Every host that has a living worker, a number of a GPU, or an order to drain; by name. */
export function viewHosts(known: KnownOfHosts): HostView[] {
  const names = new Set([
    ...known.heartbeats.map(hostNameOf),
    ...[...known.numbers.values()].map(({ host }) => host),
    ...known.drained,
  ]);
  return [...names].sort().map((name) => viewHost(name, known));
}

function viewHost(name: string, known: KnownOfHosts): HostView {
  const { heartbeats, ages, drained } = known;
  const workers = heartbeats.filter((heartbeat) => hostNameOf(heartbeat) === name);
  const ofHost = workers.flatMap(({ onHost }) => onHost ?? []);
  const lastMs = workers.flatMap(({ workerId }) => ages.get(workerId) ?? []);
  const offsets = ofHost.flatMap(({ clockOffsetMs }) => clockOffsetMs ?? []);
  const models = modelsOf(workers, heartbeats);
  return {
    name,
    state: stateOf(workers, drained.has(name)),
    versions: distinct(ofHost.map(({ version }) => version)),
    tags: distinct(ofHost.flatMap(({ tags }) => tags)),
    gpus: gpusOf(name, workers, known),
    media_workers: workers.filter(({ gpuId }) => gpuId === null).length,
    running_jobs: workers.reduce((sum, { runningJobs }) => sum + runningJobs, 0),
    models,
    clock_offset_ms: offsets.length > 0 ? farthest(offsets) : null,
    last_heartbeat_ms: lastMs.length > 0 ? Math.min(...lastMs) : null,
    problems: problemsOf(name, workers, { models, offsets, heartbeats }),
  };
}

function stateOf(workers: readonly Heartbeat[], isDrained: boolean): HostView['state'] {
  if (workers.length === 0) return 'gone';
  const allDrain = workers.every(({ draining }) => draining);
  if (!isDrained && !allDrain) return 'ready';
  return allDrain && workers.every(({ runningJobs }) => runningJobs === 0) ? 'drained' : 'draining';
}

function gpusOf(name: string, workers: readonly Heartbeat[], { numbers, heartbeats }: KnownOfHosts): HostView['gpus'] {
  const living = currentWorkers(workers).map((worker) => ({
    gpu: worker.gpuId as number,
    state: stateOf([worker], false),
    device: worker.device,
    tags: worker.onHost?.tags ?? [],
  }));
  const served = new Set(currentWorkers(heartbeats).map(({ gpuId }) => gpuId));
  const gone = [...numbers].flatMap(([gpu, { host }]) =>
    host === name && !served.has(gpu) ? [{ gpu, state: 'gone' as const, device: null, tags: [] }] : [],
  );
  return [...living, ...gone].sort((a, b) => a.gpu - b.gpu);
}

function modelsOf(workers: readonly Heartbeat[], heartbeats: readonly Heartbeat[]): HostView['models'] {
  const ids = distinct(workers.flatMap(({ models }) => models.map(({ modelId }) => modelId)));
  return ids.map((modelId) => {
    const states = workers.flatMap(({ models }) => models.filter((model) => model.modelId === modelId));
    const [hash] = hashesOf(workers, modelId);
    return {
      model_id: modelId,
      loaded: states.some(({ loaded }) => loaded !== null),
      files_hash: hash ?? null,
      differs: hash !== undefined && hashesOf(heartbeats, modelId).length > 1,
      problems: distinct(states.flatMap(({ problems }) => problems)),
    };
  });
}

/** What the files of a model hash to, as these workers have it in memory. */
function hashesOf(workers: readonly Heartbeat[], modelId: string): string[] {
  const states = workers.flatMap(({ models }) => models.filter((model) => model.modelId === modelId));
  return distinct(states.flatMap(({ loaded }) => loaded?.filesHash ?? []));
}

interface Facts {
  readonly models: HostView['models'];
  readonly offsets: readonly number[];
  readonly heartbeats: readonly Heartbeat[];
}

function problemsOf(name: string, workers: readonly Heartbeat[], { models, offsets, heartbeats }: Facts): string[] {
  const offset = farthest(offsets);
  const clock = Math.abs(offset) > CLOCK_TOLERANCE_MS;
  const machines = distinct(workers.flatMap(({ onHost }) => onHost?.machine ?? []));
  const differing = models.flatMap(({ model_id, files_hash, differs }) => {
    if (!differs) return [];
    const others = heartbeats.flatMap((other) =>
      hashesOf([other], model_id).flatMap((hash) =>
        hash === files_hash ? [] : [`${hostNameOf(other)} has ${hash.slice(0, 12)}`],
      ),
    );
    return [`"${model_id}" comes from files ${files_hash?.slice(0, 12)} here; ${distinct(others).join(', ')}`];
  });
  return [
    ...(clock ? [`its clock is ${Math.abs(offset)} ms ${offset > 0 ? 'ahead of' : 'behind'} that of Redis`] : []),
    ...(machines.length > 1 ? [`${machines.length} machines have the name ${name}: set host.name`] : []),
    ...differing,
    ...models.flatMap(({ model_id, problems }) => problems.map((problem) => `"${model_id}": ${problem}`)),
  ];
}

function farthest(offsets: readonly number[]): number {
  return offsets.reduce((most, offset) => (Math.abs(offset) > Math.abs(most) ? offset : most), 0);
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
