import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { createLogger } from '../../shared/process/log.ts';
import { SPENT_KEY } from '../../shared/renders/keys.ts';
import type { RenderPlan, RenderRequest, SegmentReceipt } from '../../shared/renders/record.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { SpentFiles } from '../../worker/media/spent-files.ts';
import { stitchHandler } from '../../worker/media/stitch.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

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
const spentFiles = new SpentFiles(redis, renders, artifacts);
const stitch = stitchHandler({ renders, artifacts, spentFiles });

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
  ...{ begun: Promise.resolve(), attempt: 1, wall_ms: 1, model_files: [] },
  timings_ms: { mel: 0, encoder: 0, background: 0, visual_input: 0, inference: 0, composite: 0, encode: 0 },
};

async function renderedOnly(renderId: string): Promise<void> {
  await renders.admit(renderId, REQUEST, 10, undefined);
  await renders.startPreparing(renderId);
  await renders.startRendering(renderId, PLAN);
  await renders.segments.saveReceipt(renderId, RECEIPT);
}

function work(renderId: string): Promise<void> {
  const context = { begun: Promise.resolve(), attempt: 1, lastTry: false, signal: new AbortController().signal, log };
  const unused = {
    span: undefined,
    progressed: () => {},
    showProgress: () => {},
    moveElsewhere: async () => undefined,
  };
  return stitch({ name: 'stitch', renderId }, { ...context, ...unused });
}

test('a worker that stitches a render a second time leaves the result of the first one', async () => {
  await renderedOnly('r1');
  await Promise.all([work('r1'), work('r1')]);
  assert.equal((await renders.get('r1')).status, 'completed');
  assert.ok(await artifacts.size(artifactKeys.receipt('r1')), 'the receipt is there');
});

test('what a completed render was made from goes some seconds later, and that of others stays', async () => {
  for (const id of ['r2', 'r3']) {
    await renderedOnly(id);
    await artifacts.publish(artifactKeys.upload(id), (target) => writeFile(target, 'sound'));
    await artifacts.publish(artifactKeys.segmentVideo(id, 0), (target) => writeFile(target, 'pictures'));
  }
  await work('r2');
  // Redis has lost that the other one was completed.
  await spentFiles.announce('r3');
  await redis.zincrby(SPENT_KEY, -60, 'r2');
  await redis.zincrby(SPENT_KEY, -60, 'r3');
  const sweep = spentFiles.sweepAlways(log);
  sweep.now();
  await until('both were looked at', async () =>
    (await redis.zmscore(SPENT_KEY, 'r2', 'r3')).every((at) => at === null),
  );
  await sweep.stop();
  assert.equal(await artifacts.size(artifactKeys.upload('r2')), undefined);
  assert.equal(await artifacts.size(artifactKeys.segmentVideo('r2', 0)), undefined);
  assert.ok(await artifacts.size(artifactKeys.receipt('r2')), 'the receipt is there');
  assert.ok(await artifacts.size(artifactKeys.upload('r3')), 'the upload is there');
  assert.ok(await artifacts.size(artifactKeys.segmentVideo('r3', 0)), 'the segment is there');
});
