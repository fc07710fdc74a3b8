import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { HostView } from '../shared/views/host-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './options.ts';
import { table } from './table.ts';

const LOOK_EVERY_MS = 500;
/** Hashes are told apart by less. */
const HASH_SHOWN = 8;

/** `farm hosts`, `farm host list`: one line a host, then what is wrong between them. */
export async function listHosts(options: FarmOptions & JsonOption): Promise<void> {
  const list = await openFarm(options).hosts.list();
  if (options.json) return printJson(list);
  const rows = [
    ['HOST', 'STATE', 'VERSION', 'GPUS', 'MEDIA', 'JOBS', 'CLOCK', 'SEEN', 'TAGS', 'MODELS'],
    ...list.hosts.map((host) => [
      host.name,
      host.state,
      host.versions.join(' ') || '-',
      host.gpus.map(({ gpu, state }) => (state === host.state ? gpu : `${gpu} (${state})`)).join(' ') || '-',
      String(host.media_workers),
      String(host.running_jobs),
      host.clock_offset_ms === null ? '-' : `${host.clock_offset_ms > 0 ? '+' : ''}${host.clock_offset_ms} ms`,
      host.last_heartbeat_ms === null ? '-' : `${(host.last_heartbeat_ms / 1000).toFixed(1)} s ago`,
      host.tags.join(' ') || '-',
      host.models
        .flatMap(({ model_id, files_hash }) =>
          files_hash === null ? [] : `${model_id}@${files_hash.slice(0, HASH_SHOWN)}`,
        )
        .join(' ') || '-',
    ]),
  ];
  const problems = list.hosts.flatMap(({ name, problems: found }) => found.map((problem) => `${name}: ${problem}\n`));
  const mixed = list.versions.length > 1 ? [`The farm runs several versions: ${list.versions.join(', ')}\n`] : [];
  process.stdout.write(`${table(rows)}\n${[...problems, ...mixed].join('')}`);
}

/** `farm host drain NAME`; with `--wait` it ends once nothing runs there. */
export async function drainHost(name: string, options: FarmOptions & JsonOption & { wait?: boolean }): Promise<void> {
  const { hosts } = openFarm(options);
  let view = await hosts.drain(name);
  while (options.wait && view.state !== 'drained' && view.state !== 'gone') {
    await delay(LOOK_EVERY_MS);
    const found = (await hosts.list()).hosts.find((host) => host.name === name);
    if (!found) throw new FarmError('farm_host_unknown', `Host ${name} is not known any more`);
    view = found;
  }
  say(view, options);
}

/** `farm host undrain NAME`. */
export async function undrainHost(name: string, options: FarmOptions & JsonOption): Promise<void> {
  say(await openFarm(options).hosts.undrain(name), options);
}

/** `farm host forget NAME`. */
export async function forgetHost(name: string, options: FarmOptions & JsonOption): Promise<void> {
  await openFarm(options).hosts.forget(name);
  if (options.json) printJson({ name, forgotten: true });
  else process.stdout.write(`Host ${name} is forgotten; the numbers of its GPUs are free\n`);
}

function say(view: HostView, { json }: JsonOption): void {
  const { name, state, running_jobs } = view;
  if (json) printJson(view);
  else process.stdout.write(`Host ${name} is ${state}; jobs: ${running_jobs} running\n`);
}
