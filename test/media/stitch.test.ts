import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { artifactKeys, LocalArtifacts } from '../../shared/artifacts.ts';
import { createLogger } from '../../shared/process/log.ts';
import type { RenderPlan, RenderRequest, SegmentReceipt } from '../../shared/renders/record.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { stitchHandler } from '../../worker/media/stitch.ts';
import { startRedisServer } from '../support/redis-server.ts';

const server = await startRedisServer();
const redis = await server.connect();
const folder = await mkdtemp(path.join(tmpdir(), 'stitch-'));
after(() => rm(folder, { recursive: true, force: true }));

const renders = new RenderStore(redis);
const artifacts = new LocalArtifacts(folder);
const log = createLogger('media', {
  level: 'silent',
  buffered_logging: false,
  auto_flush: false,
  flush_interval_ms: 1,
});
const stitch = stitchHandler({ renders, artifacts });

const REQUEST: RenderRequest = {
  ...{ modelId: 'ann', output: 'frames', startFrameIndex: 0, jpegQuality: 75 },
  ...{ fileName: 'speech.wav', uploadBytes: 44, uploadSha256: 'abc' },
};
const PLAN: RenderPlan = {
  ...{ sampleCount: 640, frameCount: 1, segmentFrames: 100, batchFrames: 4, encoderBatchWindows: 32 },
  ...{ h264Crf: 20, h264Preset: 'veryfast', segmentGpus: [0] },
};
const RECEIPT: SegmentReceipt = {
  ...{ index: 0, frames: { start: 0, end: 1 }, gpu: 0, worker: 'gpu-0', provider: 'cpu', width: 64, height: 64 },
  ...{ attempt: 1, wall_ms: 1, model_files: [] },
  timings_ms: { mel: 0, encoder: 0, background: 0, visual_input: 0, inference: 0, composite: 0, encode: 0 },
};

async function renderedOnly(renderId: string): Promise<void> {
  await renders.admit(renderId, REQUEST, 10, undefined);
  await renders.startPreparing(renderId);
  await renders.startRendering(renderId, PLAN);
  await renders.segments.saveReceipt(renderId, RECEIPT);
}

function work(renderId: string): Promise<void> {
  const context = { attempt: 1, lastTry: false, signal: new AbortController().signal, log };
  const unused = { showProgress: () => {}, moveElsewhere: async () => undefined };
  return stitch({ name: 'stitch', renderId }, { ...context, ...unused });
}

test('a worker that stitches a render a second time leaves the result of the first one', async () => {
  await renderedOnly('r1');
  await Promise.all([work('r1'), work('r1')]);
  assert.equal((await renders.get('r1')).status, 'completed');
  assert.ok(await artifacts.size(artifactKeys.receipt('r1')), 'the receipt is there');
});
