import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ANYBODY } from '../../api/access/caller.ts';
import type { SegmentReceipt } from '../../shared/renders/record.ts';
import { startApi } from '../support/api.ts';
import { SAMPLE_REQUEST } from '../support/sample-render.ts';
import { until } from '../support/until.ts';

/** What is asked of Redis, counted there: it must not grow with the length of a render, their number, or who watches. */

const api = await startApi();
const { redis, renders } = api.services;

interface Cost {
  readonly commands: number;
  readonly bytes: number;
}

/** Without what the counting itself costs. */
async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const before = await counters();
  await work();
  const after = await counters();
  return { commands: after.commands - before.commands - 1, bytes: after.bytes - before.bytes - before.own };
}

async function counters() {
  const info = await redis.info('stats');
  const field = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
  return { commands: field('total_commands_processed'), bytes: field('total_net_output_bytes'), own: info.length };
}

/** The front end asks for other things meanwhile: heartbeats, new GPUs. */
const MEANWHILE = 5;

function assertNoMore(many: Cost, few: Cost): void {
  assert.ok(many.commands <= few.commands + MEANWHILE, `${few.commands} commands, then ${many.commands}`);
}

function receipt(index: number, inference: number): SegmentReceipt {
  return {
    ...{ index, frames: { start: index * 100, end: index * 100 + 100 }, gpu: 0, worker: 'gpu-0', provider: 'cpu' },
    ...{ width: 1280, height: 720, attempt: 1, wall_ms: 1 },
    timings_ms: { mel: 1, encoder: 2, background: 3, visual_input: 4, inference, composite: 5.25, encode: 6 },
    model_files: Array.from({ length: 3 }, () => ({
      path: '/models/one/network.onnx',
      sha256: 'a'.repeat(64),
      bytes: 1,
    })),
  };
}

describe('looking at renders', () => {
  it('a status brings no receipts, however many segments are done, and their times add up', async () => {
    const id = await api.renderIn('rendering');
    await api.store.segments.saveReceipt(id, receipt(0, 10));
    const short = await costOf(() => renders.get(id, ANYBODY));
    for (let index = 1; index < 300; index++) await api.store.segments.saveReceipt(id, receipt(index, 10));
    await api.store.segments.saveReceipt(id, receipt(7, 30));
    const long = await costOf(() => renders.get(id, ANYBODY));
    assertNoMore(long, short);
    assert.ok(long.bytes - short.bytes < 200, `${short.bytes} bytes with one segment, ${long.bytes} with 300`);
    const { stages } = (await renders.get(id, ANYBODY)).timings_ms;
    assert.deepEqual([stages?.inference, stages?.mel, stages?.composite], [3020, 300, 1575]);
  });

  it('adds the times up from the receipts where an older worker wrote some, and without those that are forgotten', async () => {
    const id = await api.renderIn('rendering');
    const inference = async () => (await renders.get(id, ANYBODY)).timings_ms.stages?.inference;
    await api.store.segments.saveReceipt(id, receipt(0, 10));
    await redis.hset(`{farm}:render:${id}:segments`, '1', JSON.stringify(receipt(1, 20)));
    assert.equal(await inference(), 30);
    await api.store.segments.saveReceipt(id, receipt(2, 40));
    assert.equal(await inference(), 70);
    await api.store.segments.forgetReceipts(id, [0, 2]);
    assert.equal(await inference(), 20);
    await api.store.segments.forgetReceipts(id, [1]);
    assert.equal(await inference(), undefined);
  });

  it('a page of the list costs the same however many renders there are', async () => {
    const page = () => renders.list({ limit: 20, before: undefined }, ANYBODY);
    await addCompleted(50);
    await page();
    const few = await costOf(page);
    await addCompleted(3000);
    const many = await costOf(page);
    assertNoMore(many, few);
  });

  it('two hundred who watch a render cost what one does', async () => {
    const id = await api.renderIn('rendering');
    const ended = new AbortController();
    let states = 0;
    const watch = async () => {
      for await (const { view } of renders.watch(id, { preview: true, caller: ANYBODY }, ended.signal)) {
        assert.equal(view.id, id);
        states++;
      }
    };
    const { commands } = await costOf(async () => {
      const watching = Array.from({ length: 200 }, () => watch().catch(() => {}));
      await until('all have seen it', async () => states === 200);
      await api.store.segments.reportProgress(id, 0, 1, 10);
      await until('all have seen that it goes on', async () => states === 400);
      ended.abort();
      await Promise.all(watching);
    });
    assert.ok(commands < 150, `${commands} commands for 400 states`);
  });
});

/** Straight into Redis: thousands of admissions would take a while. */
async function addCompleted(count: number): Promise<void> {
  const added = redis.pipeline();
  for (let n = 0; n < count; n++) {
    const [renderId, createdAtMs] = [`r${String(added.length + n).padStart(8, '0')}${count}`, 1_700_000_000_000 + n];
    const record = { renderId, status: 'completed', request: SAMPLE_REQUEST, createdAtMs, finishedAtMs: createdAtMs };
    added.hset(
      `{farm}:render:${renderId}`,
      ...Object.entries(record).flatMap(([name, value]) => [name, JSON.stringify(value)]),
    );
    added.zadd('{farm}:renders', createdAtMs, renderId);
  }
  await added.exec();
}
