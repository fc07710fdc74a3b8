import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { startBenchFarm } from '../bench-farm.ts';
import { writeCheapAvatar } from '../cheap-avatar.ts';
import { GrpcCalls } from '../grpc-calls.ts';
import { quantile, type Row, row, type Stage } from '../harness/contract.ts';

/**
 * What the way through the farm adds to the computing of 24 frames, by a unary gRPC call and by a gRPC stream, as a ratio
 * to an empty gRPC call of the same rounds. What is added is the time of the client less the time in which the worker's
 * computing threads had the work. Each part was measured by itself, and the parts of a call make up its whole.
 */

const ROUNDS = 150;
/** No further round begins after this, once there are some. */
const WITHIN_MS = 25_000;
const FEWEST_ROUNDS = 20;
const WARM_UP_ROUNDS = 20;
const FRAME_COUNT = 24;
const SAMPLES_PER_FRAME = 640;
const MODEL_ID = 'cheap';
/** How long a line of the farm's log may be on its way. */
const LINE_WITHIN_MS = 2000;

/** What the front end logs of a request that it has answered. */
const answeredSchema = z.object({
  msg: z.literal('live request answered'),
  frames: z.int(),
  wholeMs: z.number(),
  moments: z.object({
    openedMs: z.number(),
    threadsFromMs: z.number(),
    threadsToMs: z.number(),
    doneMs: z.number(),
  }),
});
type Answered = z.infer<typeof answeredSchema>;

interface Round {
  readonly unary: UnaryParts;
  readonly streamMs: number;
  /** During a stream: how long the computing threads had work of it. */
  readonly streamThreadsMs: number;
  /** A gRPC call that does nothing: the standard health check. */
  readonly emptyMs: number;
}

/** The parts of a unary call, in ms: together they are `wholeMs`. */
interface UnaryParts {
  readonly wholeMs: number;
  /** Between client and front end, both ways. */
  readonly grpcMs: number;
  /** In the front end before the request is placed and after its last frame. */
  readonly frontMs: number;
  /** Between front end and worker: job and payload there, the last frames back. */
  readonly wayMs: number;
  /** In the worker before and after its threads compute. */
  readonly workerMs: number;
  /** In the worker's computing threads, with the hops to them. */
  readonly threadsMs: number;
}

export const stage: Stage = {
  about: 'what the way through the farm adds to 24 frames, beside an empty gRPC call',
  limitS: 60,
  async measure() {
    const answers = new AnswerLines();
    await using farm = await startBenchFarm(
      async (folder) => ({
        models: { [MODEL_ID]: await writeCheapAvatar(path.join(folder, 'avatar')) },
        logging: { level: 'debug' },
      }),
      undefined,
      (_, line) => answers.read(line),
    );
    const calls = new GrpcCalls(farm.grpcAddress);
    try {
      const rounds: Round[] = [];
      const endsAt = performance.now() + WITHIN_MS;
      for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
        if (round >= FEWEST_ROUNDS && performance.now() > endsAt) break;
        const measured = await measureRound(calls, answers);
        if (round >= 0) rounds.push(measured);
      }
      return rowsOf(rounds);
    } finally {
      calls.close();
    }
  },
};

/** The front end's lines about requests, as they come. */
class AnswerLines {
  readonly #lines: Answered[] = [];

  read(line: string): void {
    if (!line.includes('live request answered')) return;
    this.#lines.push(answeredSchema.parse(JSON.parse(line.slice(line.indexOf('{')))));
  }

  /** The lines about these frames, which have left the farm. */
  async about(frames: number): Promise<Answered[]> {
    const untilMs = performance.now() + LINE_WITHIN_MS;
    while (this.#lines.reduce((sum, line) => sum + line.frames, 0) < frames) {
      if (performance.now() > untilMs) throw new Error(`The farm has not told of ${frames} frames`);
      await delay(1);
    }
    return this.#lines.splice(0);
  }
}

async function measureRound(calls: GrpcCalls, answers: AnswerLines): Promise<Round> {
  const audio = speechLike(FRAME_COUNT * SAMPLES_PER_FRAME);
  const bytes = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength);
  const [unaryMs, answer] = await timed(() => calls.infer(MODEL_ID, bytes, FRAME_COUNT));
  const [line] = await answers.about(FRAME_COUNT);
  const [streamMs, frames] = await calls.stream(MODEL_ID, bytes, FRAME_COUNT);
  const ofStream = await answers.about(FRAME_COUNT);
  const [emptyMs] = await timed(() => calls.health());
  if (!line || frames < FRAME_COUNT || answer.frames !== FRAME_COUNT) throw new Error('Frames are missing');
  return {
    unary: partsOf(unaryMs, answer.totalMs, line),
    streamMs,
    streamThreadsMs: busyMs(ofStream.map(({ moments }) => [moments.threadsFromMs, moments.threadsToMs])),
    emptyMs,
  };
}

/** @param totalMs as the answer says: all of the time in the front end. */
function partsOf(unaryMs: number, totalMs: number, { wholeMs, moments }: Answered): UnaryParts {
  const { openedMs, threadsFromMs, threadsToMs, doneMs } = moments;
  return {
    wholeMs: unaryMs,
    grpcMs: unaryMs - totalMs,
    frontMs: totalMs - wholeMs,
    wayMs: wholeMs - (doneMs - openedMs),
    workerMs: doneMs - openedMs - (threadsToMs - threadsFromMs),
    threadsMs: threadsToMs - threadsFromMs,
  };
}

/** How long at least one of the spans lasted. */
function busyMs(spans: readonly (readonly [number, number])[]): number {
  let [busy, until] = [0, Number.NEGATIVE_INFINITY];
  for (const [from, to] of [...spans].sort(([left], [right]) => left - right)) {
    busy += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return busy;
}

async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const startedAt = performance.now();
  const result = await work();
  return [performance.now() - startedAt, result];
}

/** Deterministic sound with something in every band. */
function speechLike(samples: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, i) => 0.3 * Math.sin(i * 0.05) * Math.sin(i * 0.0007) ** 2);
}

function rowsOf(rounds: readonly Round[]): Row[] {
  const ms = (name: string, pick: (round: Round) => number) => row({ name, unit: 'ms', values: rounds.map(pick) });
  const unary = (round: Round) => round.unary.wholeMs - round.unary.threadsMs;
  const stream = (round: Round) => round.streamMs - round.streamThreadsMs;
  const ratio = (name: string, share: number, pick: (round: Round) => number, atMost: number) => {
    const [added, empty] = [pick, (round: Round) => round.emptyMs].map((of) => quantile(rounds.map(of), share));
    return row({ name, unit: '× empty call', values: [(added ?? 0) / (empty ?? 0)], atMost });
  };
  return [
    ratio('unary, added p50', 0.5, unary, 2),
    ratio('unary, added p99', 0.99, unary, 3),
    ratio('stream, added p50', 0.5, stream, 2),
    ratio('stream, added p99', 0.99, stream, 3),
    ms('an empty gRPC call', (round) => round.emptyMs),
    ms('a unary call', (round) => round.unary.wholeMs),
    ms('of the unary call, gRPC between client and front end', (round) => round.unary.grpcMs),
    ms('of the unary call, front end before and after', (round) => round.unary.frontMs),
    ms('of the unary call, between front end and worker, both ways', (round) => round.unary.wayMs),
    ms('of the unary call, worker before and after its threads', (round) => round.unary.workerMs),
    ms('of the unary call, computing threads', (round) => round.unary.threadsMs),
    ms('a stream', (round) => round.streamMs),
    ms('of the stream, computing threads', (round) => round.streamThreadsMs),
  ];
}
