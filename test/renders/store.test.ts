import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { readView } from '../../api/renders/view.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { COUNTS_KEY } from '../../shared/metrics/series.ts';
import { EVENTS_KEY } from '../../shared/renders/keys.ts';
import type { RenderStatus, SegmentReceipt } from '../../shared/renders/record.ts';
import { CANCEL_CHANNEL, type RenderOwner, RenderStore } from '../../shared/renders/store.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

const server = await startRedisServer();
const redis = await server.connect();
const store = new RenderStore(redis);
beforeEach(() => redis.flushall());

const NO_LIMIT = 1000;
const FAILURE = new FarmError('audio_empty', 'no samples').toReport();

async function admit(renderId: string): Promise<void> {
  assert.deepEqual(await store.admit(renderId, SAMPLE_REQUEST, NO_LIMIT, undefined), { outcome: 'admitted' });
}

/** Each status a render can have, and the steps that lead there. */
const WAYS = {
  queued: async () => await admit('r1'),
  preparing: async () => {
    await WAYS.queued();
    await store.startPreparing('r1');
  },
  rendering: async () => {
    await WAYS.preparing();
    await store.startRendering('r1', SAMPLE_PLAN);
  },
  stitching: async () => {
    await WAYS.rendering();
    await store.startStitching('r1');
  },
  completed: async () => {
    await WAYS.stitching();
    await store.complete('r1');
  },
  failed: async () => {
    await WAYS.rendering();
    await store.fail('r1', FAILURE);
  },
  cancelled: async () => {
    await WAYS.rendering();
    await store.cancel('r1');
  },
};
type Status = keyof typeof WAYS;

async function statusNow(): Promise<string> {
  return (await store.get('r1')).status;
}

test('what has come of a render beyond its record is not shown before that has its plan', async () => {
  await WAYS.preparing();
  const timings = { mel: 1, encoder: 2, background: 3, visual_input: 4, inference: 5, composite: 6, encode: 7 };
  const about = { gpu: 0, worker: 'gpu-0', provider: 'cpu', width: 64, height: 48, attempt: 1, wall_ms: 1 };
  const frames = { start: 0, end: 100 };
  await store.segments.saveReceipt('r1', { index: 0, frames, ...about, timings_ms: timings, model_files: [] });
  const stages = async () => (await readView('r1', store)).view.timings_ms.stages;
  assert.equal(await stages(), null);
  await store.startRendering('r1', SAMPLE_PLAN);
  assert.deepEqual(await stages(), timings);
});

test('a render can be looked at while Redis is out of memory', async (t) => {
  await WAYS.rendering();
  await redis.config('SET', 'maxmemory', '1');
  t.after(() => redis.config('SET', 'maxmemory', '0'));
  assert.equal((await readView('r1', store)).view.status, 'rendering');
  await assert.rejects(store.startStitching('r1'), /OOM/);
});

test('an admitted render has its record and counts as active', async () => {
  const beforeMs = Date.now();
  await admit('r1');
  const { createdAtMs, ...record } = await store.get('r1');
  assert.deepEqual(record, { renderId: 'r1', status: 'queued', request: SAMPLE_REQUEST, search: 'r1 speech.wav ann' });
  assert.ok(createdAtMs >= beforeMs && createdAtMs <= Date.now());
  assert.equal(await store.countActive(), 1);
  assert.deepEqual(await store.activeIds(), ['r1']);
});

test('a render that there is not is undefined, or an error that names it', async () => {
  assert.equal(await store.find('r9'), undefined);
  await assert.rejects(store.get('r9'), { code: 'render_unknown', message: /r9/ });
});

test('no more renders are admitted than the limit allows, and the refusal counts them', async () => {
  assert.deepEqual(await store.admit('r1', SAMPLE_REQUEST, 2, undefined), { outcome: 'admitted' });
  assert.deepEqual(await store.admit('r2', SAMPLE_REQUEST, 2, undefined), { outcome: 'admitted' });
  assert.deepEqual(await store.admit('r3', SAMPLE_REQUEST, 2, undefined), { outcome: 'full', activeCount: 2 });
  assert.equal(await store.find('r3'), undefined);
  assert.equal((await store.list(10)).records.length, 2);
});

test('of many renders at the same time exactly as many are admitted as the limit allows', async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `r${index}`);
  const outcomes = await Promise.all(ids.map((renderId) => store.admit(renderId, SAMPLE_REQUEST, 7, undefined)));
  assert.equal(outcomes.filter(({ outcome }) => outcome === 'admitted').length, 7);
  assert.equal(await store.countActive(), 7);
});

for (const [end, move] of Object.entries({
  completes: () => store.complete('r1'),
  fails: () => store.fail('r1', FAILURE),
  'is cancelled': () => store.cancel('r1'),
})) {
  test(`a render that ${end} makes room for another`, async () => {
    await WAYS.stitching();
    assert.equal((await store.admit('r2', SAMPLE_REQUEST, 1, undefined)).outcome, 'full');
    assert.equal(await move(), true);
    assert.equal((await store.admit('r2', SAMPLE_REQUEST, 1, undefined)).outcome, 'admitted');
  });
}

const CLAIM = { key: 'monday', fingerprint: 'same' };

test('the same key with the same request answers with the render it made', async () => {
  await store.admit('r1', SAMPLE_REQUEST, NO_LIMIT, CLAIM);
  const again = await store.admit('r2', SAMPLE_REQUEST, NO_LIMIT, { ...CLAIM });
  assert.deepEqual(again, { outcome: 'known', renderId: 'r1', sameRequest: true });
  assert.equal(await store.find('r2'), undefined);
  assert.equal(await store.countActive(), 1);
});

test('the same key with another request is told apart', async () => {
  await store.admit('r1', SAMPLE_REQUEST, NO_LIMIT, CLAIM);
  const other = await store.admit('r2', SAMPLE_REQUEST, NO_LIMIT, { ...CLAIM, fingerprint: 'other' });
  assert.deepEqual(other, { outcome: 'known', renderId: 'r1', sameRequest: false });
});

test('a known key is answered even when the queue is full', async () => {
  await store.admit('r1', SAMPLE_REQUEST, 1, CLAIM);
  assert.equal((await store.admit('r2', SAMPLE_REQUEST, 1, CLAIM)).outcome, 'known');
});

test('a key is not used up by a refusal', async () => {
  await store.admit('r1', SAMPLE_REQUEST, 1, undefined);
  assert.equal((await store.admit('r2', SAMPLE_REQUEST, 1, CLAIM)).outcome, 'full');
  assert.equal((await store.admit('r2', SAMPLE_REQUEST, 2, CLAIM)).outcome, 'admitted');
});

test('renders without a key never meet', async () => {
  await admit('r1');
  await admit('r2');
});

test('of the same request sent many times at once exactly one is admitted, and all answer with it', async () => {
  const ids = Array.from({ length: 10 }, (_, index) => `r${index}`);
  const answers = await Promise.all(ids.map((renderId) => store.admit(renderId, SAMPLE_REQUEST, NO_LIMIT, CLAIM)));
  const admitted = ids.filter((_, index) => answers[index]?.outcome === 'admitted');
  assert.equal(admitted.length, 1);
  for (const answer of answers) {
    if (answer.outcome === 'admitted') continue;
    assert.deepEqual(answer, { outcome: 'known', renderId: admitted[0], sameRequest: true });
  }
  assert.equal(await store.countActive(), 1);
});

test('owners have keys of their own; those of before there were owners stay good for who sees all renders', async () => {
  const owner = (name: string, idempotency: RenderOwner['idempotency'] = 'apart') => ({
    ...{ name, mostUnfinished: 0, idempotency },
  });
  await store.admit('r1', SAMPLE_REQUEST, NO_LIMIT, CLAIM);
  const others = [
    await store.admit('r2', SAMPLE_REQUEST, NO_LIMIT, CLAIM, owner('ann')),
    await store.admit('r3', SAMPLE_REQUEST, NO_LIMIT, CLAIM, owner('bob')),
  ];
  assert.deepEqual(others, [{ outcome: 'admitted' }, { outcome: 'admitted' }]);
  const same = { outcome: 'known', sameRequest: true };
  const again = await store.admit('r4', SAMPLE_REQUEST, NO_LIMIT, CLAIM, owner('ann'));
  assert.deepEqual(again, { ...same, renderId: 'r2' });
  const ops = await store.admit('r5', SAMPLE_REQUEST, NO_LIMIT, CLAIM, owner('ops', 'apart or common'));
  assert.deepEqual(ops, { ...same, renderId: 'r1' });
  const plain = await store.admit('r6', SAMPLE_REQUEST, NO_LIMIT, CLAIM, owner('key 1', 'common'));
  assert.deepEqual(plain, { ...same, renderId: 'r1' });
});

test('an owner has its own limit, which counts what has not ended', async () => {
  const ann = { name: 'ann', mostUnfinished: 2, idempotency: 'apart' as const };
  const admitNext = async (id: string) => (await store.admit(id, SAMPLE_REQUEST, NO_LIMIT, undefined, ann)).outcome;
  await admit('r0');
  assert.deepEqual([await admitNext('r1'), await admitNext('r2')], ['admitted', 'admitted']);
  assert.equal(await admitNext('r3'), 'owner full');
  await store.cancel('r1');
  assert.equal(await store.countActive('ann'), 1);
  assert.deepEqual([await admitNext('r3'), await admitNext('r4')], ['admitted', 'owner full']);
});

test('a key is forgotten after a day', async () => {
  await store.admit('r1', SAMPLE_REQUEST, NO_LIMIT, CLAIM);
  const [key = ''] = await redis.keys('*idempotency*');
  const leftMs = await redis.pttl(key);
  assert.ok(leftMs > 86_000_000 && leftMs <= 86_400_000, `${leftMs}`);
});

test('a render goes from queued to completed, and each step is dated', async () => {
  await WAYS.completed();
  const record = await store.get('r1');
  const { createdAtMs, preparingAtMs = 0, renderingAtMs = 0, stitchingAtMs = 0, finishedAtMs = 0 } = record;
  assert.equal(record.status, 'completed');
  assert.deepEqual(record.plan, SAMPLE_PLAN);
  const times = [createdAtMs, preparingAtMs, renderingAtMs, stitchingAtMs, finishedAtMs];
  assert.deepEqual([...times].sort(), times);
  assert.ok(preparingAtMs > 0);
});

/** From which statuses each step is allowed; from every other one it must change nothing. */
const STEPS: [string, () => Promise<boolean>, Status[]][] = [
  ['preparing', () => store.startPreparing('r1'), ['queued', 'preparing']],
  ['rendering', () => store.startRendering('r1', SAMPLE_PLAN), ['preparing']],
  ['stitching', () => store.startStitching('r1'), ['rendering', 'stitching']],
  ['completed', () => store.complete('r1'), ['stitching']],
  ['failed', () => store.fail('r1', FAILURE), ['queued', 'preparing', 'rendering', 'stitching']],
  ['cancelled', () => store.cancel('r1'), ['queued', 'preparing', 'rendering', 'stitching']],
];
for (const [to, step, allowed] of STEPS) {
  test(`a render becomes ${to} from ${allowed.join(' or ')} alone`, async () => {
    for (const from of Object.keys(WAYS) as Status[]) {
      await redis.flushall();
      await WAYS[from]();
      const before = await store.get('r1');
      assert.equal(await step(), allowed.includes(from), `${from} → ${to}`);
      if (allowed.includes(from)) assert.equal(await statusNow(), to);
      else assert.deepEqual(await store.get('r1'), before);
    }
  });

  test(`a render that there is not does not become ${to}`, async () => {
    assert.equal(await step(), false);
    assert.deepEqual(await redis.keys('*'), []);
  });
}

test('of completing and cancelling at the same time one wins', async () => {
  await WAYS.stitching();
  const won = await Promise.all([store.complete('r1'), store.cancel('r1'), store.fail('r1', FAILURE)]);
  assert.equal(won.filter(Boolean).length, 1);
});

test('a failed render keeps its error', async () => {
  await WAYS.failed();
  assert.deepEqual((await store.get('r1')).error, FAILURE);
});

test('cancelling and failing tell whoever works on the render, once', async () => {
  const listener = await server.connect();
  const heard: string[] = [];
  const done = Promise.withResolvers<void>();
  await listener.subscribe(CANCEL_CHANNEL);
  listener.on('message', (_channel, renderId) => {
    if (renderId === 'end') done.resolve();
    else heard.push(renderId);
  });
  await WAYS.cancelled();
  await store.cancel('r1');
  await admit('r2');
  await store.fail('r2', FAILURE);
  await store.fail('r2', FAILURE);
  await redis.publish(CANCEL_CHANNEL, 'end');
  await done.promise;
  assert.deepEqual(heard, ['r1', 'r2']);
});

test('progress of the segments adds up', async () => {
  await WAYS.rendering();
  assert.deepEqual(await store.segments.progress('r1'), { framesDone: 0, framesRepeating: 0 });
  assert.equal(await store.segments.reportProgress('r1', 0, 1, 40), 'rendering');
  assert.equal(await store.segments.reportProgress('r1', 1, 1, 7), 'rendering');
  assert.equal(await store.segments.reportProgress('r1', 0, 1, 60), 'rendering');
  assert.deepEqual(await store.segments.progress('r1'), { framesDone: 67, framesRepeating: 0 });
});

test('a newer attempt at a segment repeats frames that stay counted, and an older one no longer counts', async () => {
  await WAYS.rendering();
  await store.segments.reportProgress('r1', 0, 9, 80);
  await store.segments.reportProgress('r1', 1, 1, 10);
  await store.segments.reportProgress('r1', 0, 10, 4);
  assert.deepEqual(await store.segments.progress('r1'), { framesDone: 90, framesRepeating: 76 });
  assert.equal(await store.segments.reportProgress('r1', 0, 9, 100), 'rendering');
  assert.deepEqual(await store.segments.progress('r1'), { framesDone: 90, framesRepeating: 76 });
  await store.segments.reportProgress('r1', 0, 10, 100);
  assert.deepEqual(await store.segments.progress('r1'), { framesDone: 110, framesRepeating: 0 });
});

test('progress tells that a render has ended or is gone, and changes nothing then', async () => {
  for (const status of ['cancelled', 'failed', 'completed', 'stitching'] as const) {
    await redis.flushall();
    await WAYS[status]();
    assert.equal(await store.segments.reportProgress('r1', 0, 1, 10), status);
    assert.deepEqual(await store.segments.progress('r1'), { framesDone: 0, framesRepeating: 0 });
  }
  assert.equal(await store.segments.reportProgress('r9', 0, 1, 10), undefined);
});

function receipt(index: number, attempt = 1): SegmentReceipt {
  return {
    index,
    frames: { start: index * 100, end: index * 100 + 100 },
    gpu: 0,
    worker: 'gpu-0',
    provider: 'cpu',
    width: 1280,
    height: 720,
    attempt,
    wall_ms: 1,
    timings_ms: { mel: 1, encoder: 1, background: 1, visual_input: 1, inference: 1, composite: 1, encode: 1 },
    model_files: [{ path: '/m/net.onnx', sha256: 'abc', bytes: 3 }],
  };
}

test('receipts come back in the order of the segments, one a segment', async () => {
  await WAYS.rendering();
  for (const index of [10, 2, 1, 0]) await store.segments.saveReceipt('r1', receipt(index));
  await store.segments.saveReceipt('r1', receipt(2, 5));
  assert.deepEqual(await store.segments.receipts('r1'), [receipt(0), receipt(1), receipt(2, 5), receipt(10)]);
  assert.deepEqual(await store.segments.receipts('r2'), []);
});

async function page(limit: number, after?: string, status?: RenderStatus): Promise<string[]> {
  const { records } = await store.list(limit, after === undefined ? undefined : await store.get(after), { status });
  return records.map(({ renderId }) => renderId);
}

test('renders are listed newest first, page by page', async () => {
  for (const renderId of ['r1', 'r2', 'r3', 'r4', 'r5']) await admit(renderId);
  assert.deepEqual(await page(10), ['r5', 'r4', 'r3', 'r2', 'r1']);
  assert.deepEqual(await page(2), ['r5', 'r4']);
  assert.deepEqual(await page(2, 'r4'), ['r3', 'r2']);
  assert.deepEqual(await page(2, 'r2'), ['r1']);
  assert.deepEqual(await page(2, 'r1'), []);
});

test('a page does not move when newer renders come, or when the render before it is removed', async () => {
  for (const renderId of ['r1', 'r2', 'r3']) await admit(renderId);
  assert.deepEqual(await page(1), ['r3']);
  const last = await store.get('r3');
  await admit('r4');
  await removeEnded('r3');
  assert.deepEqual(
    (await store.list(2, last)).records.map(({ renderId }) => renderId),
    ['r2', 'r1'],
  );
});

test('pages are complete also when hundreds of renders were made in one millisecond', async () => {
  const ids = Array.from({ length: 330 }, (_, index) => `r${index + 1000}`);
  for (const id of ids) {
    await admit(id);
    await redis.zadd('{farm}:renders', 5000, id);
  }
  const seen: string[] = [];
  for (let last: string | undefined; ; last = seen.at(-1)) {
    const after = last === undefined ? undefined : { createdAtMs: 5000, renderId: last };
    const { records: next } = await store.list(50, after);
    if (next.length === 0) break;
    seen.push(...next.map(({ renderId }) => renderId));
  }
  assert.deepEqual(seen, ids.reverse());
});

test('renders of one status are found among any number of others', async () => {
  await WAYS.failed();
  for (let index = 0; index < 450; index++) await admit(`r${index + 1000}`);
  assert.deepEqual(await page(1, undefined, 'failed'), ['r1']);
  assert.deepEqual(await page(2, undefined, 'queued'), ['r1449', 'r1448']);
  assert.deepEqual(await page(5, 'r1001', 'queued'), ['r1000']);
  assert.deepEqual(await page(5, undefined, 'cancelled'), []);
});

test('an empty farm has an empty list', async () => {
  assert.deepEqual(await page(10), []);
});

/** Names of all keys in Redis, but for those that say for ten minutes that a render is gone. */
async function allKeys(): Promise<string[]> {
  const keys: string[] = [];
  for await (const batch of redis.scanStream()) keys.push(...(batch as string[]));
  return keys.filter((key) => !key.endsWith(':gone')).sort();
}

async function removeEnded(renderId: string): Promise<void> {
  await store.cancel(renderId);
  assert.equal(await store.remove(renderId), 'cancelled');
}

for (const status of ['queued', 'preparing', 'rendering', 'stitching'] as const) {
  test(`a render that is ${status} is not removed`, async () => {
    await WAYS[status]();
    const before = await allKeys();
    assert.equal(await store.remove('r1'), status);
    assert.deepEqual(await allKeys(), before);
  });
}

test('removing a render leaves no key behind', async () => {
  await WAYS.rendering();
  await store.segments.reportProgress('r1', 0, 1, 10);
  await store.segments.saveReceipt('r1', receipt(0));
  await removeEnded('r1');
  assert.deepEqual(await allKeys(), [EVENTS_KEY, COUNTS_KEY]);
  assert.deepEqual(await page(10), []);
});

test('removing a render leaves the others as they are', async () => {
  await admit('r1');
  await admit('r10');
  await removeEnded('r1');
  assert.deepEqual(await page(10), ['r10']);
  assert.equal(await store.countActive(), 1);
});

test('removing a render frees its idempotency key', async () => {
  await store.admit('r1', SAMPLE_REQUEST, NO_LIMIT, CLAIM);
  await removeEnded('r1');
  assert.deepEqual(await allKeys(), [EVENTS_KEY, COUNTS_KEY]);
  assert.deepEqual(await store.admit('r2', SAMPLE_REQUEST, NO_LIMIT, CLAIM), { outcome: 'admitted' });
});
