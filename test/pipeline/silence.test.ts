import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IdleTrack, NOT_IDLE, passIdle } from '../../shared/sound/idle-track.ts';
import { FEATURE_SIZE } from '../../shared/sound/rates.ts';
import { VoiceTrack } from '../../shared/sound/silence-gate.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AudioEncoder,
  type AudioSource,
  type AvatarPictures,
  type IndexRange,
  noSilence,
  outputFloats,
} from '../../worker/pipeline/contract.ts';
import { renderMouths } from '../../worker/pipeline/render-frames.ts';
import { type MouthStore, SilentMouths } from '../../worker/pipeline/silent-mouths.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { FloatNetwork } from './float-network.ts';

const SIZE = 160;
const NEVER = new AbortController().signal;
const FRAMES = 40;
const PICTURES = 5;
/** Batches of 8: the second is silent, the others hear a voice. */
const VOICES = '4444444321000000000000001234444444443210';

/** Its mouths depend on all that they share a run with, on their picture and on what they hear. */
class MixingNetwork extends FloatNetwork {
  readonly size = SIZE;
  readonly framesPerRun = 32;
  readonly runs: number[] = [];

  async generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    this.runs.push(count);
    const frameFloats = 6 * SIZE * SIZE;
    const heard = Array.from({ length: count }, (_, place) => Math.abs(audio[place * AUDIO_INPUT_FLOATS + 4000] ?? 0));
    const shared = heard.reduce((sum, one) => sum + one, 0) / count;
    const output = new Float32Array(count * outputFloats(SIZE));
    for (const [place, one] of heard.entries()) {
      const level = (visual[place * frameFloats] as number) / 2 + ((one + shared) % 1) / 2;
      output.fill(level, place * outputFloats(SIZE), (place + 1) * outputFloats(SIZE));
    }
    return output;
  }
}

const sound: AudioSource = {
  sampleCount: FRAMES * 640,
  read: async ({ start, end }) => Float32Array.from({ length: end - start }, (_, at) => Math.sin((start + at) ** 2)),
};
const encoder: AudioEncoder = {
  encode: async (windows, count) =>
    Float32Array.from({ length: count * FEATURE_SIZE }, (_, at) => {
      const window = Math.floor(at / FEATURE_SIZE) * 1280;
      return (windows[window + (at % FEATURE_SIZE)] as number) / 7;
    }),
};
const pictures: AvatarPictures<string> = {
  frameCount: PICTURES,
  picture: async () => '',
  idlePicture: async (_, { place, amount }) => `${amount} of ${place}`,
  face: async (index, into) => void into.fill(20 + 30 * index),
  hasHiddenFaces: false,
  hiddenFace: async () => {},
};

/** The first byte of the mouth of each frame in a range, the runs of the network, and what was spared. */
async function render(
  range: IndexRange,
  { voices, store, idle }: { voices?: string; store?: MouthStore; idle?: IdleTrack } = {},
) {
  const network = new MixingNetwork();
  const counts = noSilence();
  const silentMouths = new SilentMouths({ network, encoder, pictures, ...(store ? { store } : {}) });
  const request = {
    ...{ frames: range, totalFrames: FRAMES, startFrameIndex: 0, batchFrames: 8, encoderBatchWindows: 8 },
    gate: voices === undefined ? undefined : { voices: new VoiceTrack(voices), idle, counts },
  };
  const parts = { audio: sound, encoder, network, pictures, silentMouths };
  const mouths: number[] = [];
  const shown: string[] = [];
  for await (const { mouth, memory, picture } of renderMouths(request, parts, NEVER, noTimings())) {
    mouths.push(mouth[0] as number);
    shown.push(picture);
    memory.release();
  }
  return { mouths, shown, runs: network.runs, counts };
}

describe('frames in silence', () => {
  const all = { start: 0, end: FRAMES };

  it('are the same in whatever ranges a render is cut, though what shares a run changes its mouths', async () => {
    const whole = await render(all, { voices: VOICES });
    const cut: number[] = [];
    for (let start = 0; start < FRAMES; start += 7) {
      cut.push(...(await render({ start, end: Math.min(start + 7, FRAMES) }, { voices: VOICES })).mouths);
    }
    assert.deepEqual(cut, whole.mouths);
  });

  it('need no run of the network, but for one for each picture, unless somebody speaks in their batch', async () => {
    const { runs, counts } = await render(all, { voices: VOICES });
    assert.equal(runs.filter((count) => count === 8).length, 4);
    assert.equal(runs.filter((count) => count === 1).length, PICTURES);
    const silent = [...VOICES].filter((voice) => voice === '0').length;
    assert.deepEqual(counts, { frames: silent, spared: 8, made: PICTURES, idle: 0 });
  });

  it('show what the network makes of silence, and a mixture beside it; frames with a voice are untouched', async () => {
    const { mouths: plain } = await render(all);
    const { mouths: silent } = await render(all, { voices: '0'.repeat(FRAMES) });
    const { mouths } = await render(all, { voices: VOICES });
    for (const [frame, voice] of [...VOICES].entries()) {
      const [own, quiet] = [plain[frame] as number, silent[frame] as number];
      assert.equal(mouths[frame], Math.floor((Number(voice) * own + (4 - Number(voice)) * quiet + 2) / 4), `${frame}`);
    }
    assert.equal(new Set(silent).size, PICTURES);
    assert.ok(plain.some((own, frame) => own !== silent[frame]));
  });

  it('show an idle clip in whatever ranges a render is cut, and no mouth in it; the other frames are untouched', async () => {
    const idle = new IdleTrack(passIdle(NOT_IDLE, VOICES, 3).frames);
    const plain = await render(all, { voices: VOICES });
    const whole = await render(all, { voices: VOICES, idle });
    const cut: string[] = [];
    for (let start = 0; start < FRAMES; start += 7) {
      const part = await render({ start, end: Math.min(start + 7, FRAMES) }, { voices: VOICES, idle });
      cut.push(...part.mouths.map((mouth, index) => `${mouth} ${part.shown[index]}`));
    }
    assert.deepEqual(
      cut,
      whole.mouths.map((mouth, index) => `${mouth} ${whole.shown[index]}`),
    );
    for (const [frame, mouth] of whole.mouths.entries()) {
      const { amount = 0, place } = idle.at(frame) ?? {};
      assert.equal(whole.shown[frame], amount === 0 ? '' : `${amount} of ${place}`);
      assert.equal(mouth, amount === 4 ? 0 : plain.mouths[frame], `${frame}`);
    }
    assert.deepEqual([plain.counts.idle, whole.counts.idle], [0, whole.shown.filter(Boolean).length]);
    assert.ok(whole.shown.some((picture) => picture.startsWith('4')));
  });

  it('are kept where their store outlives the render, and made again where it has lost them', async () => {
    const kept = new Map<number, Uint8Array>();
    const store: MouthStore = {
      read: (index, into) => {
        const mouth = kept.get(index);
        if (mouth) into.set(mouth);
        return mouth !== undefined;
      },
      write: async (index, mouth) => void kept.set(index, mouth.slice()),
    };
    const first = await render(all, { voices: VOICES, store });
    const second = await render(all, { voices: VOICES, store });
    kept.delete(2);
    const third = await render(all, { voices: VOICES, store });
    assert.deepEqual([first.counts.made, second.counts.made, third.counts.made], [PICTURES, 0, 1]);
    for (const { mouths } of [second, third]) assert.deepEqual(mouths, first.mouths);
  });
});
