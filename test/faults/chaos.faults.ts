import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { patiently } from '../../client/patience.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { ACTIVE_KEY, INDEX_KEY } from '../../shared/renders/keys.ts';
import { randomFrom } from '../soak/random.ts';
import { type CutFarm, startCutFarm } from '../support/cut-farm.ts';
import { until } from '../support/until.ts';
import { ChaosCallers } from './chaos-callers.ts';
import { type ChaosFault, chaosFaults, pidOf } from './chaos-faults.ts';
import { SmallDisk } from './small-disk.ts';

/**
 * Faults that nobody chose: several renders at once, and whatever can break breaks at random moments, several at a time.
 * CHAOS_MINUTES sets how long (2), CHAOS_SEED repeats the faults of another run, CHAOS_ONLY names those to have.
 */

const MINUTES = Number(process.env.CHAOS_MINUTES ?? 2);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const ONLY = new RegExp(process.env.CHAOS_ONLY ?? '');
const CALLERS = 8;
const DISK_MB = 64;
/** Faults of a round; then there is peace until every render has ended. */
const ROUND_FAULTS = 6;
const LONGEST_GAP_MS = 3000;
/** No render may take longer once nothing is broken. */
const RECOVERED_WITHIN_MS = 120_000;
/** Keys that are there for a while, or only while there is something to say. Entries of work go when somebody adds up. */
const PASSING_KEYS =
  /:(?:preview|gone|probe|left:.*|live:.*|heartbeat:.*|meta|stalled-check|turn|session:.*|renders:work)$/;

describe(`renders under chaos (CHAOS_SEED=${SEED})`, () => {
  const random = randomFrom(SEED);
  let disk: SmallDisk | undefined;
  let root: string;
  let farm: CutFarm;
  let callers: ChaosCallers;
  let faults: ChaosFault[][];
  let atStart: { keys: string[]; processes: string[] };
  const had: string[] = [];
  const recoveredS: number[] = [];

  before(async () => {
    disk = await SmallDisk.mount(DISK_MB);
    farm = await startCutFarm({
      ...{ gpus: { count: 2 }, render: { segment_frames: 25 }, limits: { disk_reserve_gb: 0, drain_seconds: 10 } },
      ...(disk ? { storage: { root: disk.folder } } : {}),
    });
    root = disk?.folder ?? path.join(farm.folder, 'data');
    farm.proxy.judge = () => false;
    callers = new ChaosCallers(farm, root, randomFrom(SEED + 1));
    faults = chaosFaults(farm, disk, randomFrom(SEED + 2))
      .map((group) => group.filter(({ name }) => ONLY.test(name)))
      .filter((group) => group.length > 0);
    await callers.learn();
    await partsAreGone();
    atStart = { keys: await kindsOfKeys(), processes: await processesOf(farm) };
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
    await disk?.[Symbol.asyncDispose]();
  });

  it('every accepted render ends once, as it would have', { timeout: (MINUTES + 8) * 60_000 }, async (t) => {
    const endsAtMs = performance.now() + MINUTES * 60_000;
    while (performance.now() < endsAtMs) await round();
    await callers.check();
    const figures = [
      `${had.length} faults, ${callers.ended.length} renders, ${callers.retried} retries`,
      `recovered after ${median(recoveredS).toFixed(1)} s in the middle, ${Math.max(...recoveredS).toFixed(1)} s at most`,
      `refused: ${[...callers.answers].map(([code, count]) => `${count} ${code}`).join(', ')}`,
      `ended: ${countBy(callers.ended.map(({ status }) => status))}`,
    ];
    for (const figure of figures) t.diagnostic(`figure: ${figure}`);
    assert.deepEqual(callers.wrong, []);
  });

  it('a request that was refused has left nothing, and one that was taken is there', async () => {
    const redis = new Redis(farm.redisUrl);
    const there = await redis.zrange(INDEX_KEY, 0, -1);
    const claimed = await Promise.all(callers.refusedKeys.map((key) => redis.exists(`{farm}:idempotency:${key}`)));
    redis.disconnect();
    const expected = callers.ended.filter(({ status }) => status !== 'removed').map(({ id }) => id);
    assert.deepEqual(there.toSorted(), expected.toSorted());
    assert.ok(!claimed.includes(1), 'a refused request has an idempotency key');
  });

  it('nothing is left over: no work, keys, files or processes', async () => {
    await partsAreGone();
    assert.deepEqual(await workLeft(), []);
    assert.deepEqual(await kindsOfKeys(), atStart.keys);
    const known = new Set(callers.ended.map(({ id }) => id));
    const strangers = (await readdir(path.join(root, 'renders'))).filter((id) => !known.has(id));
    assert.deepEqual(await visibleFiles(strangers), []);
    assert.deepEqual(await processesOf(farm), atStart.processes);
  });

  /** Some faults at random moments, then peace until all renders have ended. */
  async function round(): Promise<void> {
    const stop = new AbortController();
    const calling = Promise.all(Array.from({ length: CALLERS }, () => callers.call(stop.signal)));
    calling.catch(ignored('it is awaited below'));
    const running: Promise<void>[] = [];
    for (let count = 0; count < ROUND_FAULTS; count++) {
      await delay(random() * LONGEST_GAP_MS);
      running.push(strike(oneOf(oneOf(faults)), random()));
    }
    await Promise.all(running);
    const peaceAtMs = performance.now();
    stop.abort();
    const late = delay(RECOVERED_WITHIN_MS, undefined, { ref: false }).then(async () => {
      throw new Error(
        `Not recovered ${RECOVERED_WITHIN_MS / 1000} s after ${had.slice(-ROUND_FAULTS)}: ${await stuck()}`,
      );
    });
    await Promise.race([calling, late]);
    recoveredS.push((performance.now() - peaceAtMs) / 1000);
    say(`recovered after ${recoveredS.at(-1)?.toFixed(1)} s; wrong so far: ${JSON.stringify(callers.wrong)}`);
  }

  function oneOf<T>(all: readonly T[]): T {
    return all[Math.floor(random() * all.length)] as T;
  }

  async function strike({ name, begin, longestS }: ChaosFault, share: number): Promise<void> {
    had.push(name);
    const seconds = longestS * share;
    say(`${name}${seconds ? ` for ${seconds.toFixed(1)} s` : ''}`);
    const end = await begin();
    await delay(seconds * 1000);
    await end();
  }

  async function stuck(): Promise<string> {
    const redis = new Redis(farm.redisUrl);
    const ids = await redis.smembers(ACTIVE_KEY);
    const records = await Promise.all(
      ids.map(async (id) => `${id} ${await redis.hget(`{farm}:render:${id}`, 'status')}`),
    );
    redis.disconnect();
    return `${records.join(', ')}\n${await workLeft()}\n${farm.log.slice(-60).join('\n')}`;
  }

  async function workLeft(): Promise<string[]> {
    const redis = new Redis(farm.redisUrl);
    const keys = (await redis.keys('{farm}:*')).filter((key) =>
      /:(?:wait|active|delayed|prioritized|waiting-children|paused|lock|spent)$/.test(key),
    );
    redis.disconnect();
    return keys;
  }

  async function partsAreGone(): Promise<void> {
    const redis = new Redis(farm.redisUrl);
    await until('the parts of all renders are gone', async () => !(await redis.exists('{farm}:renders:spent')));
    await until('no preview is left', async () => (await redis.keys('*:preview')).length === 0).catch(
      ignored('previews go by themselves within a minute'),
    );
    redis.disconnect();
  }

  /** The names of all keys, without ids and numbers. */
  async function kindsOfKeys(): Promise<string[]> {
    const redis = new Redis(farm.redisUrl);
    const keys = await redis.keys('*');
    redis.disconnect();
    return [...new Set(keys.filter((key) => !PASSING_KEYS.test(key)).map(kindOf))].sort();
  }

  async function visibleFiles(ids: readonly string[]): Promise<string[]> {
    const lists = ids.map(async (id) => {
      const entries = await readdir(path.join(root, 'renders', id), { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
        .map(({ name }) => `${id}/${name}`);
    });
    return (await Promise.all(lists)).flat();
  }
});

function say(line: string): void {
  console.log(`${(performance.now() / 1000).toFixed(1).padStart(7)}  ${line}`);
}

function kindOf(key: string): string {
  return key
    .replace(/r[a-z0-9]{9}-[a-f0-9]{10}.*?(?=:|$)/g, '<id>')
    .replace(/(?<=idempotency:).*/, '<key>')
    .replace(/gpu-\d+/g, 'gpu-N');
}

/** Every process that has to do with the farm's folder, by what it runs: those of the farm, and their children. */
async function processesOf(farm: CutFarm): Promise<string[]> {
  await patiently(() => farm.client.greet(), { forMs: RECOVERED_WITHIN_MS });
  await until('all processes run', async () => {
    const pids = await Promise.all(['api', 'media', 'gpu-0', 'gpu-1', 'redis'].map((name) => pidOf(farm, name)));
    return !pids.includes(undefined);
  });
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const of = async (file: string) =>
      await readFile(`/proc/${pid}/${file}`, 'utf8').catch(ignored('it has ended meanwhile', ''));
    const [words, environment] = [await of('cmdline'), await of('environ')];
    if ((words + environment).includes(farm.folder))
      found.push(
        words
          .split('\0')
          .slice(0, 4)
          .map((word) => path.basename(word))
          .join(' '),
      );
  }
  return found.sort();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function countBy(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}
