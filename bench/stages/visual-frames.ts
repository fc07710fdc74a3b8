import type { Redis } from 'ioredis';
import { VisualInputs } from '../../api/live/visual-inputs.ts';
import { visualPayload } from '../../api/live/visual-payload.ts';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { DEMO_AVATAR_DIR } from '../../shared/config/load.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { type BenchFarm, startBenchFarm } from '../bench-farm.ts';
import { givenFaces } from '../given-faces.ts';
import { GrpcCalls } from '../grpc-calls.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { cpuMsOf, peakRssMbOf, resetPeakRss, rssMbOf } from '../harness/process-cpu.ts';
import { inTurn, ratios } from '../harness/rounds.ts';

/**
 * What `visual_frames` cost: requests of 24 frames with and without them, in turn, client included. 24 × 6 × 320 × 320
 * float32 are 59 MB.
 */

const FRAMES = 24;
const MB = 2 ** 20;
const SOUND = Buffer.from(
  Float32Array.from({ length: FRAMES * 640 }, (_, i) => 0.3 * Math.sin(i * 0.05) * Math.sin(i * 0.0007) ** 2).buffer,
);
const ROUNDS = { demo: { rounds: 12, warmUp: 2, withinMs: 15_000 }, trained: { rounds: 3, warmUp: 1, withinMs: 1 } };
/** Least share of the speed without. */
const LEAST_SHARE = 0.75;
/** Most memory for a request, as a multiple of its bytes. */
const MOST_MEMORY = 1.2;
const ROW_OF_REQUESTS = 20;

type ModelId = keyof typeof ROUNDS;

export const stage: Stage = {
  about: 'requests of 24 frames with 59 MB of visual_frames beside the same without, client included',
  limitS: 150,
  async measure({ before }) {
    const { generatorPath, encoderPath } = await buildBenchModels();
    const pictures = {
      background_dir: `${DEMO_AVATAR_DIR}/frames`,
      crop_rects_path: `${DEMO_AVATAR_DIR}/crop_rects.json`,
    };
    const models = {
      demo: {
        ...pictures,
        model_path: `${DEMO_AVATAR_DIR}/generator.onnx`,
        audio_encoder_path: `${DEMO_AVATAR_DIR}/audio_encoder.onnx`,
      },
      trained: { ...pictures, model_path: generatorPath, audio_encoder_path: encoderPath },
    };
    await using farm = await startBenchFarm(() => ({ models }));
    await using other = before === undefined ? undefined : await startBenchFarm(() => ({ models }), before);
    await using here = await Client.of(farm);
    await using there = other && (await Client.of(other));
    const rows = [...(await shareRows('demo', here, there)), ...(await shareRows('trained', here, undefined))];
    return [...rows, ...(await memoryRows(here)), ...(await stepRows(here))];
  },
};

/** Requests to a farm, and what its processes take for them. */
class Client implements AsyncDisposable {
  readonly redis: Redis;
  readonly #calls: GrpcCalls;
  readonly #pids: ReadonlyMap<string, number>;
  readonly #frames = givenFaces(FRAMES);

  private constructor(farm: BenchFarm, redis: Redis, redisPid: number) {
    this.redis = redis;
    this.#calls = new GrpcCalls(farm.grpcAddress);
    this.#pids = new Map([...farm.pids, ['Redis', redisPid]]);
  }

  static async of(farm: BenchFarm): Promise<Client> {
    const redis = workerConnection(farm.redisUrl);
    return new Client(farm, redis, Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]));
  }

  get bytes(): number {
    return this.#frames.length;
  }

  async without(model: ModelId): Promise<void> {
    await this.#calls.infer(model, SOUND, FRAMES);
  }

  async with(model: ModelId): Promise<void> {
    await this.#calls.infer(model, SOUND, FRAMES, this.#frames);
  }

  /** CPU milliseconds so far, by process. */
  cpuMs(): Record<string, number> {
    const { user, system } = process.cpuUsage();
    const farm = [...this.#pids].map(([name, pid]) => [name, cpuMsOf(pid)]);
    return { client: (user + system) / 1000, ...Object.fromEntries(farm) };
  }

  /** MB that the front end and Redis have, and had at most since `resetPeaks`. */
  memoryMb(): { now: number; peak: number } {
    const pids = this.#carriers();
    const sum = (of: (pid: number) => number) => pids.reduce((total, pid) => total + of(pid), 0);
    return { now: sum(rssMbOf), peak: sum(peakRssMbOf) };
  }

  resetPeaks(): void {
    for (const pid of this.#carriers()) resetPeakRss(pid);
  }

  #carriers(): number[] {
    return [...this.#pids].filter(([name]) => name === 'api' || name === 'Redis').map(([, pid]) => pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls.close();
    this.redis.disconnect();
  }
}

async function shareRows(model: ModelId, here: Client, there: Client | undefined): Promise<Row[]> {
  const added = new Map<string, number[]>();
  const timed = await inTurn(
    {
      without: () => here.without(model),
      with: async () => {
        const before = here.cpuMs();
        await here.with(model);
        for (const [name, ms] of Object.entries(here.cpuMs())) {
          added.set(name, [...(added.get(name) ?? []), ms - (before[name] ?? 0)]);
        }
      },
      before: () => there?.with(model),
    },
    ROUNDS[model],
  );
  return [
    row({
      name: `${model} network: frames/s with, as a share of those without`,
      ...{ unit: 'ratio', values: ratios(timed.without.ms, timed.with.ms), atLeast: LEAST_SHARE },
    }),
    row({ name: `${model} network: request without`, unit: 'ms', values: timed.without.ms }),
    row({ name: `${model} network: request with`, unit: 'ms', values: timed.with.ms }),
    ...(there
      ? [
          row({
            name: 'frames/s with, to the build before',
            ...{ unit: 'ratio', values: ratios(timed.before.ms, timed.with.ms) },
          }),
        ]
      : []),
    ...[...added].map(([name, ms]) =>
      row({
        name: `${model} network: CPU of a request with, ${name}`,
        unit: 'ms',
        values: ms.slice(ROUNDS[model].warmUp),
      }),
    ),
  ];
}

async function memoryRows(here: Client): Promise<Row[]> {
  const inBytes = (mb: number, requests: number) => (mb * MB) / (requests * here.bytes);
  const measure = async (requests: number): Promise<number> => {
    const { now } = here.memoryMb();
    here.resetPeaks();
    await Promise.all(Array.from({ length: requests }, () => here.with('demo')));
    return inBytes(here.memoryMb().peak - now, requests);
  };
  const start = here.memoryMb().now;
  const single: number[] = [];
  for (let request = 0; request < ROW_OF_REQUESTS; request++) single.push(await measure(1));
  const left = inBytes(here.memoryMb().now - start, 1);
  const three = [await measure(3), await measure(3), await measure(3)];
  const limit = { unit: '× its bytes', atMost: MOST_MEMORY };
  return [
    row({ name: 'memory of front end and Redis for a request', values: single, ...limit }),
    row({ name: 'the same, three requests at a time', values: three, ...limit }),
    row({ name: `left of it after ${ROW_OF_REQUESTS} requests`, unit: '× its bytes', values: [left] }),
  ];
}

/** The front end's own steps, each alone, in this process. */
async function stepRows(here: Client): Promise<Row[]> {
  const frames = givenFaces(FRAMES);
  const heartbeats = await readHeartbeats(here.redis);
  const workers = { lately: async () => heartbeats, now: async () => heartbeats };
  let inputs = new VisualInputs(0);
  const timed = await inTurn(
    {
      pack: () => {
        inputs = new VisualInputs(frames.length);
        for (let at = 0; at < frames.length; at += 16_384) inputs.push(frames.subarray(at, at + 16_384));
      },
      crop: async () => await visualPayload(inputs, { modelId: 'demo', frameCount: FRAMES }, workers),
    },
    { rounds: 10 },
  );
  return [
    row({
      name: 'step: check 59 MB of floats and pack them',
      unit: 'ms',
      values: timed.pack.ms,
      cpuMs: timed.pack.cpuMs,
    }),
    row({ name: 'step: check channels 3–5, make crops', unit: 'ms', values: timed.crop.ms, cpuMs: timed.crop.cpuMs }),
  ];
}
