import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { Heartbeat } from '../../shared/workers/heartbeat.ts';
import {
  costOn,
  type GpuState,
  gpusForModel,
  isWorthStealing,
  type PlacementPolicy,
  placeWork,
  streamsOn,
  willingGpus,
} from '../../shared/workers/placement.ts';

const UNUSED = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };

const IN_TURN: PlacementPolicy = { strategy: 'round-robin', preferredGpu: undefined, spread: true };
const SHORTEST: PlacementPolicy = { strategy: 'least-loaded', preferredGpu: undefined, spread: true };

/** Of 100 ms each on a GPU that takes 1 ms for a frame. */
const pieces = (count: number) => new Array<number>(count).fill(100);

/** GPUs 0, 1, … that hold the model, with these backlogs in pieces. */
function gpus(...backlogs: number[]): GpuState[] {
  return backlogs.map((backlog, gpuId) => ({ gpuId, backlogMs: backlog * 100, loadMs: 0, frameMs: 1 }));
}

test('round robin gives each GPU that holds the model its turn, whatever waits there', () => {
  assert.deepEqual(placeWork(pieces(7), gpus(90, 0, 5), IN_TURN, 0), [0, 1, 2, 0, 1, 2, 0]);
});

test('the first turn moves the round on', () => {
  assert.deepEqual(placeWork(pieces(4), gpus(0, 0, 0), IN_TURN, 2), [2, 0, 1, 2]);
  assert.deepEqual(placeWork(pieces(1), gpus(0, 0, 0), IN_TURN, 1), [1]);
});

test('GPU numbers need not begin at 0 nor follow each other', () => {
  const candidates = [7, 2, 12].map((gpuId) => ({ gpuId, backlogMs: 0, loadMs: 0, frameMs: 1 }));
  assert.deepEqual(placeWork(pieces(4), candidates, IN_TURN, 0), [7, 2, 12, 7]);
});

test('least loaded fills the shortest queue first and counts what it adds', () => {
  assert.deepEqual(placeWork(pieces(6), gpus(3, 0, 1), SHORTEST, 0), [1, 1, 2, 1, 2, 0]);
});

test('least loaded ends with queues that differ by one piece at most', () => {
  const backlogs = [4, 0, 2, 9];
  const placed = placeWork(pieces(41), gpus(...backlogs), SHORTEST, 3);
  for (const gpuId of placed) backlogs[gpuId] = (backlogs[gpuId] ?? 0) + 1;
  assert.ok(Math.max(...backlogs) - Math.min(...backlogs) <= 1, backlogs.join());
});

test('least loaded gives a GPU that is twice as fast twice as much', () => {
  const [fast, slow] = gpus(0, 0).map((gpu) => ({ ...gpu, frameMs: gpu.gpuId + 1 })) as [GpuState, GpuState];
  const placed = placeWork(pieces(9), [fast, slow], SHORTEST, 0);
  assert.equal(placed.filter((gpuId) => gpuId === 0).length, 6);
});

test('placing leaves the state it was given as it was', () => {
  const candidates = gpus(1, 0);
  placeWork(pieces(5), candidates, SHORTEST, 0);
  assert.deepEqual(candidates, gpus(1, 0));
});

test('the preferred GPU gets every piece, however long its queue and whether it holds the model or not', () => {
  const [first, second, third] = gpus(0, 90, 0) as [GpuState, GpuState, GpuState];
  const candidates = [first, { ...second, loadMs: 5000 }, third];
  for (const policy of [IN_TURN, SHORTEST]) {
    assert.deepEqual(placeWork(pieces(3), candidates, { ...policy, preferredGpu: 1 }, 0), [1, 1, 1]);
  }
});

test('GPU 0 can be preferred', () => {
  assert.deepEqual(placeWork(pieces(2), gpus(5, 0), { ...SHORTEST, preferredGpu: 0 }, 1), [0, 0]);
});

test('without the preferred GPU the others take the work', () => {
  assert.deepEqual(placeWork(pieces(3), gpus(0, 0), { ...IN_TURN, preferredGpu: 6 }, 0), [0, 1, 0]);
});

test('without spreading, all pieces lie on one GPU', () => {
  assert.deepEqual(placeWork(pieces(4), gpus(0, 0, 0), { ...IN_TURN, spread: false }, 2), [2, 2, 2, 2]);
  assert.deepEqual(placeWork(pieces(4), gpus(2, 1, 3), { ...SHORTEST, spread: false }, 2), [1, 1, 1, 1]);
});

test('no work needs no place, and work without a GPU is a fault', () => {
  assert.deepEqual(placeWork([], gpus(0), IN_TURN, 0), []);
  assert.throws(() => placeWork(pieces(1), [], IN_TURN, 0), RangeError);
});

/** GPU 0 holds the model and has this backlog; the others are idle, and loading takes them a second. */
function oneHolder(backlogMs: number, gpuCount = 2): GpuState[] {
  return Array.from({ length: gpuCount }, (_, gpuId) =>
    gpuId === 0 ? { gpuId, backlogMs, loadMs: 0, frameMs: 1 } : { gpuId, backlogMs: 0, loadMs: 1000, frameMs: 1 },
  );
}

for (const [name, policy] of Object.entries({ 'round robin': IN_TURN, 'least loaded': SHORTEST })) {
  test(`${name}: a GPU that holds the model is preferred while its backlog costs less than a load elsewhere`, () => {
    for (const turn of [0, 1]) assert.deepEqual(placeWork(pieces(1), oneHolder(900), policy, turn), [0]);
  });

  test(`${name}: a load elsewhere is worth it when the holder's backlog costs more`, () => {
    assert.deepEqual(placeWork(pieces(1), oneHolder(1100), policy, 1), [1]);
  });

  test(`${name}: a short render stays where the model is, a long one spreads`, () => {
    assert.deepEqual(new Set(placeWork(pieces(5), oneHolder(0), policy, 0)), new Set([0]));
    const long = placeWork(pieces(40), oneHolder(0), policy, 0);
    const onHolder = long.filter((gpuId) => gpuId === 0).length;
    assert.ok(onHolder > 20 && onHolder < 30, `${onHolder} of 40 stay`);
  });

  test(`${name}: when nobody holds the model, the pieces spread`, () => {
    const cold = gpus(0, 0).map((gpu) => ({ ...gpu, loadMs: 1000 }));
    assert.deepEqual(placeWork(pieces(2), cold, policy, 0), [0, 1]);
  });
}

test('an idle GPU takes from a queue that has more than it can do at once', () => {
  assert.ok(isWorthStealing({ loadMs: 0, frameMs: 1 }, { waiting: 1, active: 1, frameMs: 1 }, 100));
});

test('an idle GPU does not load a model of four seconds for one second of work, but does for ten', () => {
  const idle = { loadMs: 4000, frameMs: 1 };
  assert.ok(!isWorthStealing(idle, { waiting: 1, active: 1, frameMs: 1 }, 500));
  assert.ok(isWorthStealing(idle, { waiting: 19, active: 1, frameMs: 1 }, 500));
});

test("a slow GPU does not take what the queue's own GPU finishes sooner", () => {
  assert.ok(!isWorthStealing({ loadMs: 0, frameMs: 10 }, { waiting: 2, active: 1, frameMs: 1 }, 100));
});

test('a queue of which nothing runs yet is left to its own GPU', () => {
  assert.ok(!isWorthStealing({ loadMs: 0, frameMs: 1 }, { waiting: 5, active: 0, frameMs: 1 }, 100));
});

type ModelState = Heartbeat['models'][number];

function model(modelId: string, changes: Partial<ModelState> = {}): ModelState {
  return { modelId, loaded: null, problems: [], cost: null, blocked: null, usage: UNUSED, ...changes };
}

function worker(gpuId: number | null, changes: Partial<Heartbeat> = {}): Heartbeat {
  return {
    workerId: `worker-${gpuId}`,
    gpuId,
    host: 'here',
    pid: 1,
    startedAtMs: 0,
    provider: 'cpu',
    device: 'a processor',
    models: [model('ann')],
    draining: false,
    runningJobs: 0,
    eventLoopBlockedMaxMs: 0,
    ...changes,
  };
}

test('every living GPU worker can render a model that nothing speaks against', () => {
  assert.deepEqual(gpusForModel([worker(0), worker(4), worker(null)], 'ann'), [0, 4]);
});

test('a draining worker gets nothing new', () => {
  assert.deepEqual(gpusForModel([worker(0, { draining: true }), worker(1)], 'ann'), [1]);
});

test('a GPU with two workers, one of them on its way out, is named once', () => {
  assert.deepEqual(gpusForModel([worker(0, { draining: true }), worker(0)], 'ann'), [0]);
  assert.deepEqual(gpusForModel([worker(0), worker(0)], 'ann'), [0]);
});

test('a worker that cannot use the model is passed over', () => {
  const broken = [model('ann', { problems: ['model_path: no such file'] })];
  assert.deepEqual(gpusForModel([worker(0, { models: broken }), worker(1)], 'ann'), [1]);
});

test('a worker that has blocked the model is passed over, for that model', () => {
  const models = [model('ann', { blocked: { code: 'inference_failed', reason: 'x', sinceMs: 1 } }), model('bob')];
  assert.deepEqual(gpusForModel([worker(0, { models }), worker(1)], 'ann'), [1]);
  assert.deepEqual(willingGpus([worker(0, { models })], 'bob'), [0]);
});

test('when all have blocked the model, they are named all the same, but not as willing', () => {
  const models = [model('ann', { blocked: { code: 'inference_failed', reason: 'x', sinceMs: 1 } })];
  const workers = [worker(0, { models }), worker(1, { models }), worker(2, { models, draining: true })];
  assert.deepEqual(gpusForModel(workers, 'ann'), [0, 1]);
  assert.deepEqual(willingGpus(workers, 'ann'), []);
});

test('a worker whose configuration does not have the model is passed over', () => {
  assert.deepEqual(gpusForModel([worker(0), worker(1, { models: [model('bob')] })], 'bob'), [1]);
});

test('when nobody can render the model, nobody is named', () => {
  assert.deepEqual(gpusForModel([], 'ann'), []);
  assert.deepEqual(gpusForModel([worker(null), worker(0, { draining: true })], 'ann'), []);
});

const COST = { loadMs: 300, frameMs: 9 };
const LOADED = { loadMs: 300, msPerFrame: 5, loadedAtMs: 1, memoryBytes: 1 };

test('loading costs nothing where the model is in memory, and what it cost last where it no longer is', () => {
  const held = worker(0, { models: [model('ann', { cost: COST, loaded: LOADED })] });
  const unloaded = worker(1, { models: [model('ann', { cost: COST })] });
  assert.deepEqual(costOn([held, unloaded], 0, 'ann'), { gpuId: 0, loadMs: 0, frameMs: 9 });
  assert.deepEqual(costOn([held, unloaded], 1, 'ann'), { gpuId: 1, loadMs: 300, frameMs: 9 });
});

test('a GPU that never had the model is taken to be like the slowest of the others', () => {
  const slow = worker(1, { models: [model('ann', { cost: { loadMs: 700, frameMs: 30 } })] });
  const fast = worker(0, { models: [model('ann', { cost: COST, loaded: LOADED })] });
  assert.deepEqual(costOn([fast, slow, worker(2)], 2, 'ann'), { gpuId: 2, loadMs: 700, frameMs: 30 });
});

test('of two workers of a GPU the newer one counts', () => {
  const old = worker(0, { models: [model('ann', { cost: COST, loaded: LOADED })], startedAtMs: 1 });
  const young = worker(0, { models: [model('ann', { cost: COST })], startedAtMs: 2 });
  assert.equal(costOn([old, young], 0, 'ann').loadMs, 300);
});

test('a GPU holds as many streams as frames fit into nine tenths of a 25th of a second, and always one', () => {
  const holding = (frameMs: number, frameRate?: FrameRate) => {
    const heartbeats = [worker(0, { models: [model('ann', { cost: { loadMs: 1, frameMs } })] })];
    return streamsOn(heartbeats, 0, { modelId: 'ann', frameRate }, 0);
  };
  assert.deepEqual(
    [1, 9, 18, 19, 90].map((frameMs) => holding(frameMs)),
    [36, 4, 2, 1, 1],
  );
  assert.equal(holding(1, 20), 45, 'of 20 frames a second a quarter more');
});

test('a GPU of which nothing is known takes one stream, and as many as configured whatever is known', () => {
  assert.equal(streamsOn([worker(0)], 0, { modelId: 'ann' }, 0), 1);
  assert.equal(streamsOn([worker(0)], 0, { modelId: 'ann' }, 7), 7);
});
