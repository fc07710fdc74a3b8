import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import { RendersWithoutWorker } from '../../api/renders/without-worker.ts';
import { renderViewSchema } from '../../shared/views/render-view.ts';
import { type Heartbeat, readHeartbeats, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { until } from '../support/until.ts';

const MINUTES = 0.002;
const api = await startApi({
  models: { demo: { model_path: 'demo.onnx' }, picky: { model_path: 'demo.onnx', needs: ['a100', 'big'] } },
  render: { no_worker_minutes: MINUTES },
});
const { services, store } = api;
const { redis } = services;

/** A worker with these tags, until it leaves. */
async function worker(
  t: TestContext,
  gpuId: number | null,
  { tags = [], draining = false }: { tags?: string[]; draining?: boolean } = {},
): Promise<() => Promise<void>> {
  const usage = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
  const lacks = (needs: readonly string[]) => needs.filter((tag) => !tags.includes(tag));
  const describeIt = (): Omit<Heartbeat, 'workerId'> => ({
    ...{ gpuId, host: 'here', pid: 1, startedAtMs: 0, provider: null, device: null, draining },
    onHost: { name: `host-${gpuId}`, machine: null, version: '0.1.0', tags, clockOffsetMs: 0 },
    models: Object.entries({ demo: [], picky: ['a100', 'big'] }).map(([modelId, needs]) => {
      return { modelId, loaded: null, problems: [], cost: null, blocked: null, lacks: lacks(needs), usage };
    }),
    ...{ runningJobs: 0, eventLoopBlockedMaxMs: 0 },
  });
  const heartbeat = startHeartbeat(redis, `worker-${gpuId}`, describeIt, QUIET_LOG);
  await heartbeat.first;
  let hasLeft = false;
  const leave = async () => {
    if (!hasLeft) await heartbeat.stop();
    hasLeft = true;
  };
  t.after(leave);
  return leave;
}

/** Of a front end that asks the workers each time. */
const newLooks = () =>
  new RendersWithoutWorker({ config: services.config, redis, store, workers: { read: () => readHeartbeats(redis) } });
const looks = newLooks();

/** As the front end does every few seconds. */
async function look(times = 2): Promise<void> {
  for (let time = 0; time < times; time++) await looks.look();
}

const waitingOf = async (id: string) =>
  renderViewSchema.parse((await api.app.inject(`/v1/renders/${id}`)).json()).waiting;

describe('a render that no worker can go on with', () => {
  beforeEach(() => redis.flushall());

  it('waits for a GPU worker, says so after two looks, and no more once one is there', async (t) => {
    const id = await api.renderIn('rendering');
    await worker(t, null);
    await look(1);
    assert.equal(await waitingOf(id), null);
    await look(1);
    const waiting = await waitingOf(id);
    assert.equal(waiting?.code, 'no_worker');
    assert.equal(waiting?.message, `The farm has no GPU worker. It may wait ${MINUTES} minutes`);
    await worker(t, 0);
    await look(1);
    assert.equal(await waitingOf(id), null);
    await until('its time would be over', async () => {
      await look();
      return Date.now() - Date.parse(waiting.since) > MINUTES * 60_000;
    });
    assert.equal((await store.get(id)).status, 'rendering');
  });

  it('names the tags that its model needs, and goes on with a host that has them', async (t) => {
    const [picky, plain] = [await api.renderIn('rendering', { modelId: 'picky' }), await api.renderIn('rendering')];
    await worker(t, null);
    await worker(t, 3, { tags: ['big'] });
    await look();
    const { message = '' } = (await waitingOf(picky)) ?? {};
    assert.match(
      message,
      /^"picky" needs a host with the tags a100, big; of the hosts with a GPU worker host-3 has big\./,
    );
    assert.equal(await waitingOf(plain), null);
    await worker(t, 4, { tags: ['a100', 'big', 'other'] });
    await look(1);
    assert.equal(await waitingOf(picky), null);
  });

  it('says which workers are out of service', async (t) => {
    const id = await api.renderIn('rendering');
    await worker(t, 3, { draining: true });
    await look();
    const { message = '' } = (await waitingOf(id)) ?? {};
    assert.match(message, /^Every GPU worker that could render "demo" is out of service: GPU 3 on host-3\./);
  });

  it('waits for a media worker before and after its segments', async (t) => {
    const ids = [await api.renderIn('queued'), await api.renderIn('preparing'), await api.renderIn('stitching')];
    await worker(t, 0);
    await look();
    for (const id of ids) assert.match((await waitingOf(id))?.message ?? '', /^The farm has no media worker\./);
    await worker(t, null);
    await look(1);
    for (const id of ids) assert.equal(await waitingOf(id), null);
  });

  it('fails when none came in time, and can be retried', async () => {
    const id = await api.renderIn('rendering');
    await until('it has failed', async () => {
      await services.withoutWorker.look();
      return (await store.get(id)).status === 'failed';
    });
    const { error } = await store.get(id);
    assert.equal(error?.code, 'no_worker');
    assert.equal(error?.message, `The farm has no GPU worker, and none came within ${MINUTES} minutes`);
  });

  it('is not told by who has ended: the first look clears what is over', async (t) => {
    const id = await api.renderIn('rendering');
    await look();
    assert.equal((await waitingOf(id))?.code, 'no_worker');
    await worker(t, 0);
    await worker(t, null);
    await newLooks().look();
    assert.equal(await waitingOf(id), null);
  });
});
