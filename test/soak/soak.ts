import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MACHINE } from '../../bench/harness/machine.ts';
import { TestClient } from '../grpc/clients.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { callUntil, MODEL_IDS } from './callers.ts';
import { Gauges, type Holdings } from './gauges.ts';
import { randomFrom } from './random.ts';
import { talkUntil } from './talk-stream.ts';
import { Timeline } from './timeline.ts';

/**
 * `npm run soak -- --minutes N [--seed S]`: streams, requests, renders and watchers together on one farm that may have
 * two of its three models in memory. Ends with 1 unless memory, keys, files, descriptors and processes are at the end
 * what they were after the first minute, every answer was right, and the picture has not moved against the sound.
 */

const WARM_UP_MS = 30_000;
const LOOK_EVERY_MS = 5000;
const PARTS = 6;
/** What the memory of a process may be more at the end than after the warm-up, under the same load. */
const RSS_GROWTH = { share: 0.15, mb: 40 };
/** Connections and timers that come and go. */
const DESCRIPTOR_SLACK = 8;
const KEY_SLACK = 5;
/** BullMQ keeps so many jobs of a queue. */
const KEPT_JOBS_MAX = 4 * 2 * 2000;

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '2' }, seed: { type: 'string', default: '1' } },
  });
  const lengthMs = Number(values.minutes) * 60_000;
  if (!(lengthMs > 0)) throw new Error('Give --minutes a number above 0');
  process.stdout.write(`${MACHINE}\n${values.minutes} min, seed ${values.seed}\n`);
  await using farm = await startFarm({
    models: Object.fromEntries(MODEL_IDS.map((id) => [id, SMALL_MODEL])),
    capacity: { max_models: 2 },
    render: { segment_frames: 50 },
  });
  const client = new TestClient(farm.grpcAddress);
  await using gauges = new Gauges(farm);
  const random = randomFrom(Number(values.seed));
  await runLoad(farm, client, random, new Timeline(WARM_UP_MS, 1), WARM_UP_MS);
  await rest(farm);
  const before = await gauges.read();
  const timeline = new Timeline(lengthMs, PARTS);
  const looks: Holdings[] = [];
  const looking = new AbortController();
  const looked = (async () => {
    while (!looking.signal.aborted) {
      await delay(LOOK_EVERY_MS, undefined, { signal: looking.signal }).catch(() => {}); // The load is over.
      looks.push(await gauges.read());
    }
  })();
  const problems = await runLoad(farm, client, random, timeline, lengthMs);
  looking.abort();
  await looked;
  await rest(farm);
  problems.push(...differences(before, await gauges.read(), looks));
  client.close();
  process.stdout.write(`${report(timeline, before, looks, problems).join('\n')}\n`);
  return problems.length === 0;
}

/** All callers and the long stream for a time; returns what went wrong. */
async function runLoad(farm: TestFarm, client: TestClient, random: () => number, timeline: Timeline, lengthMs: number) {
  const stop = AbortSignal.timeout(lengthMs);
  const talk = talkUntil(client, MODEL_IDS[0], stop, (ms) => timeline.note('frame after its sound', ms));
  const [problems, talked] = await Promise.all([callUntil({ farm, client, timeline, random, stop }), talk]);
  if (talked.framesSent !== talked.framesWanted)
    problems.push(`The long stream gave ${talked.framesSent} frames of ${talked.framesWanted}`);
  if (talked.misplaced > 0) problems.push(`${talked.misplaced} frames of the long stream came out of order`);
  if (talked.driftFrames !== 0) problems.push(`The picture moved by ${talked.driftFrames} frames against the sound`);
  process.stdout.write(`Long stream: ${talked.framesSent} frames, drift ${talked.driftFrames}\n`);
  return problems;
}

/** Nothing is left to be done. */
async function rest(farm: TestFarm): Promise<void> {
  await until('all work is over', async () => {
    const { gpus } = await farm.client.gpus();
    return gpus.every(({ backlog }) => backlog.jobs === 0);
  });
  // Live keys and heartbeats of what has gone expire within ten seconds.
  await delay(12_000);
}

function differences(before: Holdings, after: Holdings, looks: readonly Holdings[]): string[] {
  const problems: string[] = [];
  const third = Math.max(1, Math.floor(looks.length / 3));
  for (const name of Object.keys(before.rssMb)) {
    const early = median(looks.slice(0, third).map(({ rssMb }) => rssMb[name] ?? 0));
    const late = median(looks.slice(-third).map(({ rssMb }) => rssMb[name] ?? 0));
    if (late > early * (1 + RSS_GROWTH.share) + RSS_GROWTH.mb)
      problems.push(`${name} grew from ${early.toFixed(0)} to ${late.toFixed(0)} MB`);
    const [opened, open] = [before.descriptors[name] ?? 0, after.descriptors[name] ?? 0];
    if (open > opened + DESCRIPTOR_SLACK) problems.push(`${name} had ${opened} descriptors and has ${open}`);
  }
  if (after.processes !== before.processes) problems.push(`${before.processes} processes became ${after.processes}`);
  if (after.keys > before.keys + KEY_SLACK) problems.push(`${before.keys} keys became ${after.keys}`);
  if (after.keptJobs > KEPT_JOBS_MAX) problems.push(`${after.keptJobs} keys of jobs are kept`);
  if (after.files > before.files) problems.push(`${before.files} files became ${after.files}`);
  return problems;
}

function report(
  timeline: Timeline,
  before: Holdings,
  looks: readonly Holdings[],
  problems: readonly string[],
): string[] {
  const last = looks.at(-1) ?? before;
  const names = Object.keys(before.rssMb);
  return [
    `Median/p99 in ms, the whole time in ${PARTS} parts:`,
    ...['frame after its sound', 'first frame of a stream', 'unary request', 'render, ms a second of sound'].map(
      (name) => `  ${timeline.line(name)}`,
    ),
    `Done: ${['unary requests', 'short streams', 'renders', 'watchers'].map((name) => `${timeline.count(name)} ${name}`).join(', ')}`,
    `Memory in MB, first and last look: ${names.map((name) => `${name} ${mb(looks[0], name)} → ${mb(last, name)}`).join(', ')}, Redis ${looks[0]?.redisMb.toFixed(1)} → ${last.redisMb.toFixed(1)}`,
    `At rest before: ${before.keys} keys, ${before.files} files, ${before.processes} processes`,
    ...(problems.length === 0
      ? ['Nothing grew, nothing was lost.']
      : problems.slice(0, 20).map((text) => `PROBLEM  ${text}`)),
  ];
}

function mb(look: Holdings | undefined, name: string): string {
  return (look?.rssMb[name] ?? 0).toFixed(0);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

process.exitCode = (await main()) ? 0 : 1;
