import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Heartbeat } from '../../shared/heartbeat.ts';
import { type GpuState, gpusForModel, type PlacementPolicy, placeSegments } from '../../shared/placement.ts';

const UNUSED = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };

const IN_TURN: PlacementPolicy = { strategy: 'round-robin', preferredGpu: undefined, spread: true };
const SHORTEST: PlacementPolicy = { strategy: 'least-loaded', preferredGpu: undefined, spread: true };

/** GPUs 0, 1, … with these backlogs. */
function gpus(...backlogs: number[]): GpuState[] {
  return backlogs.map((backlog, gpuId) => ({ gpuId, backlog }));
}

test('round robin gives each GPU its turn, whatever waits there', () => {
  assert.deepEqual(placeSegments(7, gpus(90, 0, 5), IN_TURN, 0), [0, 1, 2, 0, 1, 2, 0]);
});

test('the first turn moves the round on', () => {
  assert.deepEqual(placeSegments(4, gpus(0, 0, 0), IN_TURN, 2), [2, 0, 1, 2]);
  assert.deepEqual(placeSegments(1, gpus(0, 0, 0), IN_TURN, 1), [1]);
});

test('GPU numbers need not begin at 0 nor follow each other', () => {
  const candidates = [7, 2, 12].map((gpuId) => ({ gpuId, backlog: 0 }));
  assert.deepEqual(placeSegments(4, candidates, IN_TURN, 0), [7, 2, 12, 7]);
});

test('least loaded fills the shortest queue first and counts what it adds', () => {
  assert.deepEqual(placeSegments(6, gpus(3, 0, 1), SHORTEST, 0), [1, 1, 2, 1, 2, 0]);
});

test('least loaded ends with queues that differ by one at most', () => {
  const backlogs = [4, 0, 2, 9];
  const placed = placeSegments(41, gpus(...backlogs), SHORTEST, 3);
  for (const gpuId of placed) backlogs[gpuId] = (backlogs[gpuId] ?? 0) + 1;
  assert.ok(Math.max(...backlogs) - Math.min(...backlogs) <= 1, backlogs.join());
});

test('placing leaves the state it was given as it was', () => {
  const candidates = gpus(1, 0);
  placeSegments(5, candidates, SHORTEST, 0);
  assert.deepEqual(candidates, gpus(1, 0));
});

test('the preferred GPU gets every segment, however long its queue', () => {
  for (const policy of [IN_TURN, SHORTEST]) {
    assert.deepEqual(placeSegments(3, gpus(0, 90, 0), { ...policy, preferredGpu: 1 }, 0), [1, 1, 1]);
  }
});

test('GPU 0 can be preferred', () => {
  assert.deepEqual(placeSegments(2, gpus(5, 0), { ...SHORTEST, preferredGpu: 0 }, 1), [0, 0]);
});

test('without the preferred GPU the others take the work', () => {
  assert.deepEqual(placeSegments(3, gpus(0, 0), { ...IN_TURN, preferredGpu: 6 }, 0), [0, 1, 0]);
});

test('without spreading, all segments of a render lie on one GPU', () => {
  assert.deepEqual(placeSegments(4, gpus(0, 0, 0), { ...IN_TURN, spread: false }, 2), [2, 2, 2, 2]);
  assert.deepEqual(placeSegments(4, gpus(2, 1, 3), { ...SHORTEST, spread: false }, 2), [1, 1, 1, 1]);
});

test('no segments need no place, and segments without a GPU are a fault', () => {
  assert.deepEqual(placeSegments(0, gpus(0), IN_TURN, 0), []);
  assert.throws(() => placeSegments(1, [], IN_TURN, 0), RangeError);
});

function worker(gpuId: number | null, changes: Partial<Heartbeat> = {}): Heartbeat {
  return {
    workerId: `worker-${gpuId}`,
    gpuId,
    host: 'here',
    pid: 1,
    startedAtMs: 0,
    provider: 'cpu',
    models: [{ modelId: 'ann', loaded: null, problems: [], usage: UNUSED }],
    draining: false,
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
  const broken = [{ modelId: 'ann', loaded: null, problems: ['model_path: no such file'], usage: UNUSED }];
  const workers = [worker(0, { models: broken }), worker(1)];
  assert.deepEqual(gpusForModel(workers, 'ann'), [1]);
});

test('a worker whose configuration does not have the model is passed over', () => {
  const other = [{ modelId: 'bob', loaded: null, problems: [], usage: UNUSED }];
  assert.deepEqual(gpusForModel([worker(0), worker(1, { models: other })], 'bob'), [1]);
});

test('when nobody can render the model, nobody is named', () => {
  assert.deepEqual(gpusForModel([], 'ann'), []);
  assert.deepEqual(gpusForModel([worker(null), worker(0, { draining: true })], 'ann'), []);
});
