import { freePort } from '../../cli/supervisor/private-redis.ts';
import { DEMO_AVATAR_DIR } from '../../shared/config/load.ts';
import { type BenchFarm, startBenchFarm } from '../bench-farm.ts';
import { givenFaces } from '../given-faces.ts';
import { GrpcCalls } from '../grpc-calls.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { cpuMsOf } from '../harness/process-cpu.ts';
import { inTurn, ratios } from '../harness/rounds.ts';

/**
 * What a compositing host pays for raw mouths: InferBatch of 24 frames of 320² beside InferBatchComposite of the same. 59 MB
 * of visual_frames go to the farm with both; 29 MB of mouths come back, or 2 MB of JPEG.
 */

const FRAMES = 24;
const SOUND = Buffer.from(
  Float32Array.from({ length: FRAMES * 640 }, (_, i) => 0.3 * Math.sin(i * 0.05) * Math.sin(i * 0.0007) ** 2).buffer,
);
const ROUNDS = { rounds: 8, warmUp: 2, withinMs: 10_000 };
/** CPU of the front end, as a multiple of that for finished frames. */
const MOST_CPU = 2.5;

export const stage: Stage = {
  about:
    'mouths for a compositing host: 24 frames of InferBatch beside InferBatchComposite, both with 59 MB of pictures',
  limitS: 60,
  async measure({ before }) {
    await using here = await Pair.of();
    await using there = before === undefined ? undefined : await Pair.of(before);
    const faces = givenFaces(FRAMES);
    const cpuMs = { mouths: [] as number[], frames: [] as number[], before: [] as number[] };
    const noting = async (name: keyof typeof cpuMs, pair: Pair, work: Promise<unknown>) => {
      const from = pair.frontEndCpuMs;
      await work;
      cpuMs[name].push(pair.frontEndCpuMs - from);
    };
    const timed = await inTurn(
      {
        mouths: () => noting('mouths', here, here.mouths(faces)),
        frames: () => noting('frames', here, here.frames(faces)),
        before: () => there && noting('before', there, there.mouths(faces)),
      },
      ROUNDS,
    );
    const mean = (name: keyof typeof cpuMs) => meanOf(cpuMs[name].slice(ROUNDS.warmUp));
    const rows: Row[] = [
      row({ name: 'InferBatch', unit: 'ms', values: timed.mouths.ms }),
      row({
        name: 'InferBatch, as a multiple of InferBatchComposite',
        unit: 'ratio',
        values: ratios(timed.mouths.ms, timed.frames.ms),
      }),
      row({
        name: 'CPU of the front end, as such a multiple',
        unit: 'ratio',
        values: [mean('mouths') / mean('frames')],
        atMost: MOST_CPU,
      }),
    ];
    if (!there) return rows;
    const beside = ratios(timed.mouths.ms, timed.before.ms);
    return [
      ...rows,
      row({ name: 'InferBatch, to the build before', unit: 'ratio', values: beside }),
      row({
        name: 'CPU of the front end, to the build before',
        unit: 'ratio',
        values: [mean('mouths') / mean('before')],
      }),
    ];
  },
};

/** A farm with a port for the pair's inference service. */
class Pair implements AsyncDisposable {
  readonly #farm: BenchFarm;
  readonly #inference: GrpcCalls;
  readonly #monolithic: GrpcCalls;

  private constructor(farm: BenchFarm, inferenceAddress: string) {
    this.#farm = farm;
    this.#inference = new GrpcCalls(inferenceAddress);
    this.#monolithic = new GrpcCalls(farm.grpcAddress);
  }

  static async of(root?: string): Promise<Pair> {
    const address = `127.0.0.1:${await freePort()}`;
    const model = {
      ...{ background_dir: `${DEMO_AVATAR_DIR}/frames`, crop_rects_path: `${DEMO_AVATAR_DIR}/crop_rects.json` },
      ...{
        model_path: `${DEMO_AVATAR_DIR}/generator.onnx`,
        audio_encoder_path: `${DEMO_AVATAR_DIR}/audio_encoder.onnx`,
      },
    };
    const settings = { models: { demo: model }, server: { inference_port: address } };
    return new Pair(await startBenchFarm(() => settings, root), address);
  }

  get frontEndCpuMs(): number {
    return cpuMsOf(this.#farm.pids.get('api') ?? 0);
  }

  async mouths(faces: Buffer): Promise<void> {
    await this.#inference.mouths('demo', SOUND, FRAMES, faces);
  }

  async frames(faces: Buffer): Promise<void> {
    await this.#monolithic.infer('demo', SOUND, FRAMES, faces);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#inference.close();
    this.#monolithic.close();
    await this.#farm[Symbol.asyncDispose]();
  }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
