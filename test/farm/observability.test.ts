import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Metadata } from '@grpc/grpc-js';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import { GAUGES } from '../../api/metrics/gauges.ts';
import { ifMissing } from '../../shared/process/unheard.ts';
import { MONOLITHIC, methodOf, TestClient } from '../grpc/clients.ts';
import { startFarm } from '../support/farm.ts';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** What is seen of a farm from outside while it works: metrics, traces, ids of requests. */

const RENDER_TRACE = '0af7651916cd43dd8448eb211c80319c';
const LIVE_TRACE = '5b8efff798038103d269b633813fc60c';
/** What other systems have added to a trace. */
const STATE = 'vendor=t61rcWkgMzE,other@x=00f067';
const CALLER_SPAN = 'b7ad6b7169203331';
const SECONDS = 2;
const FRAMES = 25 * SECONDS;
const STAGES = ['background', 'composite', 'encode', 'encoder', 'mel', 'network', 'visual_input'];
/** What a render of two segments is made of, in spans. */
const SPANS: Readonly<Record<string, number>> = {
  ...{ 'POST /v1/renders': 1, prepare: 1, segment: 2, stitch: 1, queue: 4 },
  ...Object.fromEntries(STAGES.map((name) => [name, 2])),
};
/** Gauges of what need not be there when the farm is looked at. */
const NOT_ALWAYS = new Set<string>(['farm_job_idle_seconds']);

const collector = await OtlpReceiver.start();
const farm = await startFarm({
  models: { ann: SMALL_MODEL },
  tracing: { enabled: true, endpoint: collector.url },
  render: { segment_frames: 30 },
  logging: { save_debug_files: true },
});
after(async () => {
  await farm[Symbol.asyncDispose]();
  collector.stop();
});

let renderId = '';

const scrape = async () => await (await fetch(`${farm.url}/metrics`)).text();

function numberOf(page: string, series: string): number {
  return Number(
    page
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length) ?? 0,
  );
}

const ofTrace = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);
const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);

async function submit(): Promise<Response> {
  const file = path.join(farm.folder, 'speech.wav');
  await writeWav(file, syllables(SECONDS));
  const form = new FormData();
  form.set('audio', new Blob([await readFile(file)]), 'speech.wav');
  const headers = {
    'x-request-id': 'of-this-test',
    traceparent: `00-${RENDER_TRACE}-${CALLER_SPAN}-01`,
    tracestate: STATE,
  };
  return await fetch(`${farm.url}/v1/renders`, { method: 'POST', body: form, headers });
}

describe('a render', () => {
  it('is one trace, from the request through the queue to each stage', async () => {
    const answer = await submit();
    assert.equal(answer.status, 202);
    assert.equal(answer.headers.get('x-request-id'), 'of-this-test');
    const outside = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(answer.headers.get('traceparent') ?? '') ?? [];
    assert.equal(outside[1], RENDER_TRACE);
    assert.equal(answer.headers.get('tracestate'), STATE);
    const { id } = (await answer.json()) as { id: string };
    renderId = id;
    await farm.client.finished(id);
    // Each process tells its own, some seconds later, and a span that ends with others may come after them.
    await until('all spans have come', () =>
      Object.entries(SPANS).every(([name, count]) => named(ofTrace(RENDER_TRACE), name).length >= count),
    );
    const spans = ofTrace(RENDER_TRACE);
    for (const { name, traceState } of spans) assert.equal(traceState, STATE, name);
    const [request] = named(spans, 'POST /v1/renders');
    assert.deepEqual([request?.parentId, request?.spanId], [CALLER_SPAN, outside[2]]);
    for (const name of ['prepare', 'segment', 'stitch', 'queue'])
      for (const span of named(spans, name)) assert.equal(span.parentId, request?.spanId, name);
    for (const [name, count] of Object.entries(SPANS)) assert.equal(named(spans, name).length, count, name);
    for (const segment of named(spans, 'segment')) {
      assert.deepEqual([segment.process, segment.attributes['farm.render']], ['gpu-0', id]);
      const stages = spans.filter(({ parentId }) => parentId === segment.spanId);
      assert.deepEqual(stages.map(({ name }) => name).sort(), STAGES);
      for (const stage of stages) {
        assert.ok(stage.startMs <= stage.endMs, stage.name);
        assert.ok(
          stage.startMs >= segment.startMs - 1 && stage.endMs <= segment.endMs + 1,
          `${stage.name} lies inside`,
        );
      }
    }
  });

  it('is found in the logs of all processes by the id of its request', async () => {
    const lines = () => farm.log.filter((line) => line.includes('"request":"of-this-test"'));
    const writers = () => [...new Set(lines().map((line) => line.split(' ')[0]))].sort();
    await until('all have written', () => isDeepStrictEqual(writers(), ['api', 'gpu-0', 'media']));
  });

  it('leaves the sound of each segment beside its debug files', async () => {
    const root = path.join(farm.folder, 'data', 'debug');
    const sounds = async () => {
      const files = await readdir(root, { recursive: true }).catch(ifMissing<string[]>([]));
      const found = files.filter((file) => file.endsWith('sound.f32')).sort();
      return await Promise.all(found.map(async (file) => await readFile(path.join(root, file))));
    };
    await until('both are there', async () => {
      const lengths = (await sounds()).map(({ length }) => length / 4 / 640);
      return lengths.length === 2 && lengths[0] === 30 && lengths[1] === FRAMES - 30;
    });
    const [first] = await sounds();
    const heard = new Float32Array(new Uint8Array(first ?? []).buffer);
    assert.ok(heard.some((sample) => Math.abs(sample) > 0.05));
  });

  it('is counted, and the count outlives the worker', async () => {
    const frames = 'farm_frames_total{model="ann",gpu="0",kind="render"}';
    const starts = 'farm_process_starts_total{process="gpu-0"}';
    const { findings } = (await farm.client.receipt(renderId)).quality ?? { findings: [] };
    // What the small avatar's network gives is no mouth.
    assert.ok(findings.length > 0);
    const counts: Readonly<Record<string, number>> = {
      ...Object.fromEntries(
        findings.map((finding) => [`farm_quality_findings_total{model="ann",finding="${finding}"}`, 1]),
      ),
      [frames]: FRAMES,
      'farm_renders_total{model="ann",outcome="completed"}': 1,
      'farm_segments_total{model="ann",gpu="0",outcome="completed"}': 2,
      farm_render_seconds_count: 1,
      'farm_stage_frame_seconds_count{stage="inference",kind="render"}': 2,
    };
    let page = '';
    let missing: string[] = [];
    // Each process tells what it has counted every two seconds.
    await until('all of it is counted', async () => {
      page = await scrape();
      const absent = Object.keys(GAUGES).filter((name) => !new RegExp(`^${name}[ {]`, 'm').test(page));
      const other = Object.entries(counts).filter(([series, count]) => numberOf(page, series) !== count);
      missing = [...absent.filter((name) => !NOT_ALWAYS.has(name)), ...other.map(([series]) => series)];
      return missing.length === 0;
    }).finally(() => assert.deepEqual(missing, []));
    const before = numberOf(page, starts);
    farm.kill('gpu-0');
    await until('it has been started again', async () => numberOf(await scrape(), starts) === before + 1);
    assert.equal(numberOf(await scrape(), frames), FRAMES);
  });
});

describe('a gRPC call', () => {
  it('is one trace with its work, and answers with its ids', async () => {
    const client = new TestClient(farm.grpcAddress);
    after(() => client.close());
    const sent = new Metadata();
    sent.set('traceparent', `00-${LIVE_TRACE}-${CALLER_SPAN}-01`);
    sent.set('x-request-id', 'a-live-one');
    for (const entry of STATE.split(',')) sent.add('tracestate', entry);
    const raw_audio = Buffer.alloc(4 * 640 * 4);
    const request = { model_id: 'ann', batch_size: 4, raw_audio, sample_rate: 16_000 };
    const { answer, metadata } = await callWith(client, request, sent);
    assert.equal(answer.error, '');
    assert.equal(metadata.get('x-request-id')[0], 'a-live-one');
    assert.match(String(metadata.get('traceparent')[0]), new RegExp(`^00-${LIVE_TRACE}-`));
    assert.deepEqual(metadata.get('tracestate'), [STATE]);
    await until('the spans have come', () => {
      const [network] = named(ofTrace(LIVE_TRACE), 'network');
      const isInOne = named(ofTrace(LIVE_TRACE), 'live').some(({ spanId }) => spanId === network?.parentId);
      return isInOne && named(ofTrace(LIVE_TRACE), `${MONOLITHIC}/InferBatchComposite`).length === 1;
    });
    const spans = ofTrace(LIVE_TRACE);
    const [call] = named(spans, `${MONOLITHIC}/InferBatchComposite`);
    // A worker that does not take the job at once gets it by its queue, in a second span.
    const lives = named(spans, 'live');
    assert.deepEqual([call?.parentId, ...new Set(lives.map(({ parentId }) => parentId))], [CALLER_SPAN, call?.spanId]);
    for (const { name, traceState } of spans) assert.equal(traceState, STATE, name);
    const [network] = named(spans, 'network');
    assert.ok(lives.some(({ spanId }) => spanId === network?.parentId));
    // The worker counts frames, and the front end requests.
    await until('both are counted', async () => {
      const page = await scrape();
      const frames = numberOf(page, 'farm_frames_total{model="ann",gpu="0",kind="live"}');
      return frames === 4 && numberOf(page, 'farm_requests_total{model="ann",gpu="0",outcome="completed"}') === 1;
    });
  });
});

/** A unary call whose initial metadata is looked at as well. */
async function callWith(client: TestClient, request: object, metadata: Metadata) {
  const { path: call, requestSerialize, responseDeserialize } = methodOf(MONOLITHIC, 'InferBatchComposite');
  const answered = Promise.withResolvers<CompositeBatchResponse>();
  const running = client.makeUnaryRequest(
    call,
    requestSerialize,
    responseDeserialize,
    request,
    metadata,
    (error, answer) => (error ? answered.reject(error) : answered.resolve(answer as CompositeBatchResponse)),
  );
  const came = new Promise<Metadata>((resolve) => running.once('metadata', resolve));
  return { answer: await answered.promise, metadata: await came };
}
