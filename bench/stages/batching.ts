import { availableParallelism } from 'node:os';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { LiveBatches } from '../../worker/engine/live-batches.ts';
import { Turns } from '../../worker/engine/turns.ts';
import { OnnxLipSyncNetwork } from '../../worker/onnx/lip-sync-network.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AvatarPictures,
  type FrameInputs,
  type MouthFrame,
} from '../../worker/pipeline/contract.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';

/**
 * Concurrent streams on one network of a trained avatar's size, each frame in a run of its own or shared runs. Every
 * stream asks for its frames as fast as it gets them, so the network is always busy.
 */

const STREAMS = [1, 4];
const BATCH = 8;
const FRAMES = 12;
const ROUNDS = 4;
const PICTURES: AvatarPictures<undefined> = {
  frameCount: 1,
  picture: async () => undefined,
  face: async () => {},
  hasHiddenFaces: false,
  hiddenFace: async () => {},
};

interface Figures {
  readonly framesPerSecond: number;
  readonly frameMs: readonly number[];
}

export const stage: Stage = {
  about: 'concurrent streams on a network of the trained size at 160²: frames/s and waiting, in own and in shared runs',
  limitS: 60,
  async measure() {
    const { generatorPath } = await buildBenchModels(160);
    const threads = { intraOp: availableParallelism(), interOp: 1 };
    const network = await OnnxLipSyncNetwork.open(generatorPath, { providers: ['cpu'], threads }, BATCH);
    const rows: Row[] = [];
    for (const streams of STREAMS) {
      const figures: Record<'own' | 'shared', Figures[]> = { own: [], shared: [] };
      // Side by side, round by round; the first round warms up.
      for (let round = 0; round <= ROUNDS; round++) {
        const own = await measure(network, 1, streams, FRAMES);
        const shared = await measure(network, BATCH, streams, FRAMES);
        if (round === 0) continue;
        figures.own.push(own);
        figures.shared.push(shared);
      }
      rows.push(...rowsOf(`${streams} stream${streams === 1 ? '' : 's'}`, figures));
    }
    await network.release();
    return rows;
  },
};

function rowsOf(streams: string, figures: Record<'own' | 'shared', Figures[]>): Row[] {
  return (['own', 'shared'] as const).flatMap((kind) => {
    const name = `${streams}, ${kind === 'own' ? 'own runs' : `runs of ${BATCH}`}`;
    const rounds = figures[kind];
    return [
      row({ name, unit: 'frames/s', values: rounds.map((round) => round.framesPerSecond) }),
      row({ name: `${name}, a frame takes`, unit: 'ms', values: rounds.flatMap((round) => round.frameMs) }),
    ];
  });
}

async function measure(
  network: OnnxLipSyncNetwork,
  maxFrames: number,
  streams: number,
  frames: number,
): Promise<Figures> {
  const batches = new LiveBatches<undefined>(network, new Turns(), { maxFrames, maxWaitMs: 0 });
  const { signal } = new AbortController();
  const frameMs: number[] = [];
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: streams }, async (_, stream) => {
      const askedAt: number[] = [];
      const onFrame = ({ frameIndex, memory }: MouthFrame<undefined>) => {
        memory.release();
        frameMs.push(performance.now() - (askedAt[frameIndex] ?? startedAt));
      };
      await batches.render({ inputs: frameInputs(frames, askedAt), source: `stream ${stream}`, signal, onFrame });
    }),
  );
  return { framesPerSecond: (1000 * streams * frames) / (performance.now() - startedAt), frameMs };
}

/** Inputs that cost nothing to gather, and when each was asked for. */
async function* frameInputs(count: number, askedAt: number[]): AsyncGenerator<FrameInputs<undefined>> {
  const audioInput = new Float32Array(AUDIO_INPUT_FLOATS);
  for (let frameIndex = 0; frameIndex < count; frameIndex++) {
    askedAt[frameIndex] = performance.now();
    yield {
      ...{ frameIndex, wanted: true, pictures: PICTURES, pictureIndex: 0, picture: undefined, audioInput },
      visualInput: undefined,
      timings: noTimings(),
    };
  }
}
