import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { Metrics } from '../../api/metrics/metrics.ts';
import { PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { type Config, loadConfig } from '../../shared/config/load.ts';
import { count, observe, takeCounts } from '../../shared/metrics/tally.ts';
import { waitUntilReady, workerConnection } from '../../shared/redis/connections.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { startSpan, startTracing, stopTracing } from '../../shared/tracing/tracing.ts';
import { areaLayout } from '../../worker/compositor/area-layout.ts';
import { rimBytes } from '../../worker/compositor/contract.ts';
import { assess } from '../../worker/quality/assess.ts';
import { measureFrame } from '../../worker/quality/measure-frame.ts';
import { drawWaveform } from '../../worker/quality/waveform.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { redisCpuMs } from '../harness/process-cpu.ts';
import { inTurn } from '../harness/rounds.ts';
import { type FarmSize, writeFarmState } from '../scale/large-farm-state.ts';

/** What it costs to watch a farm: its metrics, its traces, and the quality of its renders. */

const SMALL: FarmSize = { gpus: 1, models: 3, jobs: 4 };
const LARGE: FarmSize = { gpus: 100, models: 20, jobs: 32 };
const ROUNDS = { rounds: 15, warmUp: 3, withinMs: 4000 };
const CALLS = 1000;
/** Of a render of 250 frames in three segments: request, queue and steps, seven stages of each segment. */
const SPANS_A_RENDER = 30;
const FRAMES = 250;
/** CPU of a page for the large farm. */
const MOST_PAGE_MS = 150;

export const stage: Stage = {
  about: 'what watching costs: /metrics of 1 and of 100 GPUs, counts, spans, quality of a render',
  limitS: 60,
  async measure() {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-watching-'));
    try {
      return [...(await pageRows(folder)), ...(await countRows()), ...(await spanRows()), ...(await qualityRows())];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function pageRows(folder: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const size of [SMALL, LARGE]) {
    const own = path.join(folder, String(size.gpus));
    const server = await PrivateRedis.start(own);
    const redis = workerConnection(server.url);
    try {
      await waitUntilReady(redis, 10_000);
      await writeFarmState(redis, size);
      const config = await configOf(own, server.url);
      const page = () => new Metrics({ config, redis, store: new RenderStore(redis) }).page();
      const { length } = await page();
      const before = await redisCpuMs(redis);
      const { page: timed } = await inTurn({ page }, ROUNDS);
      const ofRedis = ((await redisCpuMs(redis)) - before) / (timed.ms.length + ROUNDS.warmUp);
      const name = `/metrics of ${size.gpus} GPUs with ${size.gpus * size.jobs} jobs`;
      const limit = size === LARGE ? { atMost: MOST_PAGE_MS } : {};
      rows.push(row({ name: `${name}: CPU of a front end`, unit: 'ms', values: timed.cpuMs, ...limit }));
      rows.push(row({ name: `${name}: CPU of Redis`, unit: 'ms', values: [ofRedis] }));
      rows.push(row({ name: `${name}: its size`, unit: 'KB', values: [length / 1024] }));
    } finally {
      redis.disconnect();
      await server.stop();
    }
  }
  return rows;
}

async function configOf(folder: string, url: string): Promise<Config> {
  const file = path.join(folder, 'config.yaml');
  await writeFile(file, stringify({ redis: { url }, storage: { root: folder } }));
  return loadConfig(file, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
}

async function countRows(): Promise<Row[]> {
  const timed = await inTurn(
    {
      count: () => {
        for (let call = 0; call < CALLS; call++) count('farm_frames_total', { model: 'ann', gpu: 0, kind: 'render' });
      },
      observe: () => {
        for (let call = 0; call < CALLS; call++)
          observe('farm_stage_frame_seconds', { stage: 'mel', kind: 'live' }, call / 1e5);
      },
    },
    ROUNDS,
  );
  takeCounts();
  return [
    row({ name: `${CALLS} counts`, unit: 'ms', values: timed.count.ms, cpuMs: timed.count.cpuMs }),
    row({ name: `${CALLS} observations`, unit: 'ms', values: timed.observe.ms, cpuMs: timed.observe.cpuMs }),
  ];
}

/** Spans while nothing is traced, and sent to a collector in this process. */
async function spanRows(): Promise<Row[]> {
  const spans = () => {
    for (let made = 0; made < SPANS_A_RENDER; made++) startSpan('segment', { kind: 'consumer' })?.end();
  };
  const off = await inTurn({ spans }, ROUNDS);
  const collector = createServer((request, response) => request.resume().on('end', () => response.end())).listen(0);
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  await startTracing({ tracing: { enabled: true, endpoint, sample_ratio: 1 } }, 'bench');
  const on = await inTurn({ spans }, ROUNDS);
  await stopTracing();
  collector.close();
  const name = `${SPANS_A_RENDER} spans, those of a render`;
  return [
    row({ name: `${name}, while nothing is traced`, unit: 'ms', values: off.spans.ms, cpuMs: off.spans.cpuMs }),
    row({ name: `${name}, traced`, unit: 'ms', values: on.spans.ms, cpuMs: on.spans.cpuMs }),
  ];
}

async function qualityRows(): Promise<Row[]> {
  const picture = { width: 1280, height: 720, rect: { x1: 500, y1: 200, x2: 724, y2: 424 } };
  const { byteLength } = areaLayout(picture, picture.rect, false);
  const pixels = new Uint8Array(byteLength).map((_, at) => at * 7);
  const mouth = new Uint8Array(320 * 320 * 3).map((_, at) => at * 13);
  const measured = { ...picture, area: pixels, rim: new Uint8Array(rimBytes(320)) };
  const levels = Float64Array.from({ length: FRAMES }, (_, at) => 0.1 * Math.sin(at / 3) ** 2);
  const opening = Array.from(levels, (level) => Math.round(3000 * level));
  const flat = new Array<number>(FRAMES).fill(400);
  const timed = await inTurn(
    {
      frames: () => {
        for (let frame = 0; frame < FRAMES; frame++) measureFrame(measured, mouth);
      },
      render: () => {
        const quality = assess({ opening, seam: flat, background: flat }, levels);
        drawWaveform({ renderId: 'bench', modelId: 'bench', levels, opening, quality });
      },
    },
    ROUNDS,
  );
  const name = `quality of a render of ${FRAMES} frames`;
  return [
    row({ name: `${name}: its frames measured`, unit: 'ms', values: timed.frames.ms, cpuMs: timed.frames.cpuMs }),
    row({ name: `${name}: numbers and waveform`, unit: 'ms', values: timed.render.ms, cpuMs: timed.render.cpuMs }),
  ];
}
