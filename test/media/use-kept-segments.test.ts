import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import pino from 'pino';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { SegmentCache } from '../../shared/segments/segment-cache.ts';
import { noteKept, segmentsDone, useKeptSegments } from '../../worker/media/use-kept-segments.ts';
import { KeptSegments } from '../../worker/segments/kept-segments.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

const redis = await (await startRedisServer()).connect();

const TIMINGS = { mel: 0, encoder: 0, background: 0, visual_input: 0, inference: 0, composite: 0, encode: 0 };
const RECEIPT = {
  ...{ gpu: 0, worker: 'w', provider: 'cpu', width: 2, height: 2, model_files: [], attempt: 1 },
  ...{ started_at: '2026-01-01T00:00:00.000Z', wall_ms: 1, timings_ms: TIMINGS },
};

test('a job that was believed dead takes no receipt of a render that another one has planned', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-use-kept-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const renders = new RenderStore(redis);
  const artifacts = new LocalArtifacts(folder);
  const never = () => assert.fail('there is no model, so no sound is read');
  const cache = new SegmentCache(redis, artifacts, 1);
  const kept = new KeptSegments({ cache, openSound: never, readSilence: never });

  const renderId = newRenderId();
  await renders.admit(renderId, SAMPLE_REQUEST, 10, undefined);
  await renders.startPreparing(renderId);
  const late = await renders.get(renderId);
  await renders.startRendering(renderId, SAMPLE_PLAN);
  const rendered = { ...RECEIPT, index: 1, frames: { start: 100, end: 150 } };
  await renders.segments.saveReceipt(renderId, rendered);

  const tools = { redis, kept };
  const { signal } = new AbortController();
  await useKeptSegments(tools, { ...late, plan: SAMPLE_PLAN }, { signal, log: pino({ level: 'silent' }) });
  assert.deepEqual(await renders.segments.receipts(renderId), [rendered]);

  const cached = (index: number, start: number, end: number) => ({
    ...{ ...RECEIPT, index, frames: { start, end }, cached: true as const },
  });
  const found = new Map([cached(0, 0, 100), cached(1, 50, 150)].map((receipt) => [receipt.index, receipt]));
  await noteKept(renders, renderId, SAMPLE_PLAN, found);
  const done = await segmentsDone(renders, { renderId, run: undefined }, SAMPLE_PLAN);
  assert.deepEqual([...done.keys()], [0], 'one of another plan is none of this one');
});
