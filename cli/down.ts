import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { hasEnded, isSurelyAlive, type ProcessIdentity } from '../shared/process/process-life.ts';
import { printJson, sayUnless } from './json-output.ts';
import { longestDrainMs } from './local-farm.ts';
import type { JsonOption } from './options.ts';
import { readHolder } from './supervisor/farm-lock.ts';
import { stopLeftoverRedis } from './supervisor/private-redis.ts';

const LOOK_EVERY_MS = 100;
/** For what a farm does beside draining: ending Redis, tidying up. */
const MARGIN_MS = 10_000;

export interface DownOptions extends JsonOption {
  readonly config?: string;
}

/** `farm down`: ends the farm on the data folder of this configuration and waits until it has drained. */
export async function down({ config: configPath, json }: DownOptions): Promise<void> {
  const config = loadConfig(configPath);
  const { storageRoot } = config;
  const say = (text: string) => sayUnless(json, text);
  const holder = await readHolder(storageRoot);
  if (!holder || hasEnded(holder)) {
    const hadRedis = await stopLeftoverRedis(path.join(storageRoot, 'redis'));
    if (json) return printJson({ stopped: null, data: storageRoot, ended_redis: hadRedis });
    say(`No farm runs on ${storageRoot}${hadRedis ? '; the Redis that a killed one left there is ended' : ''}.`);
    return;
  }
  signalFarm(holder, storageRoot);
  say(`The farm (process ${holder.pid}) is draining: it finishes what runs, or hands it back …`);
  const deadlineMs = performance.now() + longestDrainMs(config) + MARGIN_MS;
  while (!hasEnded(holder)) {
    if (performance.now() > deadlineMs) {
      throw new FarmError('farm_not_stopped', `The farm (process ${holder.pid}) still runs on ${storageRoot}`);
    }
    await delay(LOOK_EVERY_MS);
  }
  if (json) printJson({ stopped: holder.pid, data: storageRoot, ended_redis: false });
  else say('The farm has stopped.');
}

/** A process that is not certainly the farm is never sent a signal. */
function signalFarm(holder: ProcessIdentity, storageRoot: string): void {
  const { host, pid } = holder;
  if (!isSurelyAlive(holder)) {
    const why = `host ${host} says that it runs it as process ${pid}, which cannot be verified here`;
    throw new FarmError('farm_not_stopped', `The farm on ${storageRoot} was not told to stop: ${why}`);
  }
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH') return;
    const why = code === 'EPERM' ? 'it belongs to another user' : code;
    throw new FarmError('farm_not_stopped', `The farm (process ${pid}) was not told to stop: ${why}`, { cause: error });
  }
}
