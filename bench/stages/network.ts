import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { ratios } from '../harness/rounds.ts';
import type { Turn, Way } from '../network-process.ts';

/**
 * One frame at a time through a network, as the farm runs it and bare. The limit of the farm is bare ONNX Runtime on the
 * same cores: its graph does more, the bytes, and its run must take no longer than 1 / 0.95 of a bare one.
 */

const PROCESS = new URL('../network-process.ts', import.meta.url);
const WAYS: readonly Way[] = ['bare', 'asleep', 'outside', 'inside'];
/** ONNX Runtime's threads wait for work awake for a while after a run; then the next process may take its turn. */
const PAUSE_MS = 100;
const WARM_UP_FRAMES = 3;
/** On a busy machine a network gets this long, and so many turns however long they take. */
const WITHIN_MS = 20_000;
const FEWEST_TURNS = 3;
const LEAST_OF_BARE = 0.95;
/** The same work in another place; a little more for what a busy machine adds. */
const MOST_OF_OUTSIDE = 1.05;

interface Network {
  readonly name: string;
  /** Of the size of trained ones. */
  readonly trained: boolean;
  readonly path: string;
  readonly size: 160 | 320;
  /** Frames in a turn, and turns. */
  readonly frames: number;
  readonly turns: number;
}

export const stage: Stage = {
  about: 'a frame through the network: bare session.run, bytes outside of the graph, and inside as the farm does it',
  limitS: 120,
  async measure({ signal }) {
    const networks: Network[] = [
      {
        name: 'trained size, 320²',
        path: (await buildBenchModels(320)).generatorPath,
        size: 320,
        trained: true,
        frames: 6,
        turns: 7,
      },
      {
        name: 'trained size, 160²',
        path: (await buildBenchModels(160)).generatorPath,
        size: 160,
        trained: true,
        frames: 8,
        turns: 7,
      },
      {
        name: 'demo, 320²',
        path: (await buildDemoAvatar()).generatorPath,
        size: 320,
        trained: false,
        frames: 20,
        turns: 7,
      },
    ];
    const rows: Row[] = [];
    for (const network of networks) rows.push(...(await measureNetwork(network, signal)));
    return rows;
  },
};

async function measureNetwork(network: Network, signal: AbortSignal): Promise<Row[]> {
  const { name, path, size, frames } = network;
  await using opened = new AsyncDisposableStack();
  const processes: [Way, ChildProcess][] = [];
  for (const way of WAYS) {
    const child = fork(PROCESS, [way, path, `${size}`, `${availableParallelism()}`]);
    opened.defer(() => void child.kill());
    await once(child, 'message', { signal });
    processes.push([way, child]);
  }
  const turns: Record<Way, Turn[]> = { bare: [], asleep: [], outside: [], inside: [] };
  const endsAt = performance.now() + WITHIN_MS;
  for (let number = 0; number <= network.turns; number++) {
    if (number > FEWEST_TURNS && performance.now() > endsAt) break;
    for (const [way, child] of processes) {
      const turn = await askFor(child, number === 0 ? WARM_UP_FRAMES : frames, signal);
      if (number > 0) turns[way].push(turn);
      await sleep(PAUSE_MS, undefined, { signal });
    }
  }
  const msOf = (way: Way) => turns[way].map(({ ms }) => ms);
  const cpuMsOf = (way: Way) => turns[way].map(({ cpuMs }) => cpuMs);
  const wayRow = (what: string, way: Way) =>
    row({ name: `${name}: ${what}`, unit: 'ms/frame', values: msOf(way), cpuMs: cpuMsOf(way) });
  const toBare = {
    name: `${name}: the farm's frames/s to bare`,
    unit: 'ratio',
    values: ratios(msOf('bare'), msOf('inside')),
  };
  const toOutside = {
    name: `${name}: CPU inside to outside`,
    unit: 'ratio',
    values: ratios(cpuMsOf('inside'), cpuMsOf('outside')),
  };
  return [
    wayRow('bare session.run', 'bare'),
    wayRow('bare, threads asleep between operators', 'asleep'),
    wayRow('bytes outside', 'outside'),
    wayRow('bytes inside', 'inside'),
    // The bytes take a share of a network as small as the demo's, on either side of the graph.
    row(network.trained ? { ...toBare, atLeast: LEAST_OF_BARE } : toBare),
    row({ ...toOutside, atMost: MOST_OF_OUTSIDE }),
  ];
}

async function askFor(child: ChildProcess, frames: number, signal: AbortSignal): Promise<Turn> {
  child.send(frames);
  const [turn] = await once(child, 'message', { signal });
  return turn as Turn;
}
