import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { frameCount } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { areaLayout } from '../../worker/compositor/area-layout.ts';
import { rimBytes } from '../../worker/compositor/contract.ts';
import { AudioFile } from '../../worker/media/audio-file.ts';
import { mouthWeights } from '../../worker/pipeline/pipeline.ts';
import { assess } from '../../worker/quality/assess.ts';
import { measureFrame } from '../../worker/quality/measure-frame.ts';
import { readMeasures } from '../../worker/quality/read-measures.ts';
import type { Measures } from '../../worker/quality/segment-notes.ts';
import { voiceLevels } from '../../worker/quality/voice-levels.ts';
import { buildDemoAvatar } from '../support/farm.ts';
import { type AvatarName, LATE_BY, loadAvatar, renderSound } from './avatars.ts';

const WAV_HEADER_BYTES = 44;
/** Samples of silence before the speech. */
const SILENCE = 0.4 * SAMPLE_RATE_HZ;

const folder = await mkdtemp(path.join(tmpdir(), 'farm-quality-'));
after(() => rm(folder, { recursive: true, force: true }));
const artifacts = new LocalArtifacts(folder);
await buildDemoAvatar();
const speech = await readSpeech();

/** The numbers of an avatar that speaks the beginning of the sample. */
async function qualityOf(name: AvatarName, seconds: number) {
  const { measures, levels } = await measuresOf(name, name, seconds, 1000);
  return assess(measures, levels);
}

async function measuresOf(name: AvatarName, renderId: string, seconds: number, segmentFrames: number) {
  const samples = speech.subarray(0, seconds * SAMPLE_RATE_HZ);
  const frames = frameCount(samples.length);
  const model = await loadAvatar(name, path.join(folder, 'avatars'));
  try {
    await renderSound(model, artifacts, renderId, samples, { frameCount: frames, segmentFrames });
  } finally {
    await model.release();
  }
  const measures = await readMeasures(artifacts, renderId, Math.ceil(frames / segmentFrames), frames);
  assert.ok(measures);
  await using audio = await AudioFile.open(artifacts.localPath(artifactKeys.samples(renderId)));
  return { measures, levels: await voiceLevels(audio, { start: 0, end: frames }) };
}

/** The sample, after some silence. */
async function readSpeech(): Promise<Float32Array> {
  const bytes = await readFile(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
  const count = Math.floor((bytes.length - WAV_HEADER_BYTES) / 2);
  const sampleAt = (index: number) => bytes.readInt16LE(WAV_HEADER_BYTES + 2 * index) / 32_768;
  return Float32Array.from({ length: SILENCE + count }, (_, at) => (at < SILENCE ? 0 : sampleAt(at - SILENCE)));
}

describe('the numbers of a render', () => {
  it('find nothing wrong with the demo avatar', async () => {
    const { mouth, seam, silence, findings } = await qualityOf('right', 3);
    assert.deepEqual(findings, []);
    assert.ok((mouth.correlation ?? 0) >= 0.7 && Math.abs(mouth.lag_frames ?? 9) <= 1, JSON.stringify(mouth));
    assert.ok(mouth.movement > 1 && seam.added < 1, JSON.stringify({ mouth, seam }));
    assert.ok((silence.stillness ?? 0) > 0.8 && silence.frames >= 10, JSON.stringify(silence));
  });

  it('show a mouth that is late, and by how much', async () => {
    const { mouth, findings } = await qualityOf('late', 2);
    assert.equal(mouth.lag_frames, LATE_BY);
    assert.deepEqual(findings, ['mouth_out_of_step']);
  });

  it('show a mouth that never moves, though the head does', async () => {
    const { mouth, findings } = await qualityOf('still', 1.5);
    assert.deepEqual([mouth.correlation, mouth.lag_frames], [null, null]);
    assert.deepEqual(findings, ['mouth_still']);
  });

  it('show a rect that is wrong: the face that the network knows does not fit in there', async () => {
    const fits = await qualityOf('painted', 0.4);
    const misplaced = await qualityOf('misplaced', 0.4);
    assert.ok(fits.seam.added < 6 && !fits.findings.includes('seam_visible'), JSON.stringify(fits.seam));
    assert.ok(misplaced.seam.added > 20 && misplaced.findings.includes('seam_visible'), JSON.stringify(misplaced.seam));
  });

  it('are the same whatever the segments, and the second time', async () => {
    const whole = await measuresOf('still', 'whole', 1, 1000);
    const cut = await measuresOf('still', 'cut', 1, 7);
    const again = await measuresOf('still', 'cut', 1, 7);
    assert.ok(new Set(whole.measures.opening).size > 3, 'the pictures differ');
    assert.deepEqual([cut, again], [whole, whole]);
  });

  it('are missing where a worker of an earlier version made some of the frames', async () => {
    await artifacts.remove(artifactKeys.segmentMeasures('cut', 2));
    assert.equal(await readMeasures(artifacts, 'cut', 4, 25), undefined);
  });
});

describe('the measures of a frame', () => {
  const SIZE = { width: 96, height: 80 };
  const rect = { x1: 20, y1: 10, x2: 70, y2: 60 };
  const areaOf = (isMixed: boolean) => new Uint8Array(areaLayout(SIZE, rect, isMixed).byteLength).fill(90);
  const picture = { ...SIZE, rect, area: areaOf(false), rim: new Uint8Array(rimBytes(160)).fill(90) };
  const mouth = (level: number) => new Uint8Array(160 * 160 * 3).fill(level);

  it('see a step of 10 levels at the border, and none where there is none', () => {
    assert.deepEqual(measureFrame(picture, mouth(90)), { opening: 0, seam: 0, background: 0 });
    assert.deepEqual(measureFrame(picture, mouth(100)), { opening: 0, seam: 10_000, background: 0 });
  });

  it('see a border of another colour, though it is as bright', () => {
    const cast = mouth(90).map((level, at) => level + ([15, -8, 2][at % 3] as number));
    const { seam } = measureFrame(picture, cast);
    assert.equal(seam, Math.round((100 * (15 ** 2 + 8 ** 2 + 2 ** 2)) / 3));
  });

  it('see nothing of a step at a border that fades in', () => {
    const weights = mouthWeights(rect, 160, 'feather', undefined);
    const none = measureFrame(picture, mouth(110));
    const feathered = measureFrame({ ...picture, area: areaOf(true), weights }, mouth(110));
    assert.equal(none.seam, 40_000);
    assert.ok(feathered.seam < none.seam / 50, `${feathered.seam}`);
  });

  it('see a dark place in the middle, the larger and darker the more, and no light one', () => {
    const openMouth = (rows: number, level: number) => {
      const data = mouth(150);
      for (let y = 80; y < 80 + rows; y++) data.fill(level, (y * 160 + 60) * 3, (y * 160 + 100) * 3);
      return measureFrame(picture, data).opening;
    };
    assert.ok(openMouth(10, 30) > 0);
    assert.ok(openMouth(20, 30) > 1.8 * openMouth(10, 30));
    assert.ok(openMouth(10, 10) > openMouth(10, 30));
    assert.equal(openMouth(10, 230), 0);
  });
});

describe('numbers that nothing can be said about', () => {
  const series = (frames: number, value: (frame: number) => number) =>
    Array.from({ length: frames }, (_, at) => value(at));
  const flat = (frames: number): Measures => ({
    ...{ opening: series(frames, () => 300), seam: series(frames, () => 400), background: series(frames, () => 400) },
  });
  const syllable = (frame: number) => 1 + Math.sin(frame);

  it('are null for a sound without a voice, for one frame, and for a mouth in a voice that never ends', () => {
    const silent = assess(flat(50), new Float64Array(50));
    assert.deepEqual(silent.mouth, { movement: 0, correlation: null, lag_frames: null });
    assert.deepEqual([silent.silence, silent.findings], [{ frames: 50, stillness: null }, []]);
    assert.deepEqual(assess(flat(1), new Float64Array(1)).findings, []);
    const moving = { ...flat(50), opening: series(50, (at) => Math.round(1000 * syllable(at))) };
    const { silence, mouth } = assess(
      moving,
      Float64Array.from({ length: 50 }, (_, at) => 0.1 * syllable(at) + 0.05),
    );
    assert.deepEqual(silence, { frames: 0, stillness: null });
    assert.deepEqual([mouth.lag_frames, mouth.correlation], [0, 1]);
  });

  it('show a mouth that babbles in silence, and one that does not listen', () => {
    const babble = series(100, (at) => Math.round(2000 * syllable(at)));
    const levels = Float64Array.from({ length: 100 }, (_, at) => (at < 50 ? 0.1 * syllable(at) : 0));
    assert.deepEqual(assess({ ...flat(100), opening: babble }, levels).findings, ['restless_in_silence']);
    const deaf = series(100, (at) => (at * at * 7919) % 2003);
    assert.ok(assess({ ...flat(100), opening: deaf }, levels).findings.includes('mouth_unlike_voice'));
  });
});
