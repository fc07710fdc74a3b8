import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RenderPlan, RenderRequest } from '../../shared/renders/record.ts';
import { USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { IdleTrack } from '../../shared/sound/idle-track.ts';
import { VoiceTrack } from '../../shared/sound/silence-gate.ts';
import type { ModelContentState } from '../../shared/workers/heartbeat.ts';
import type { IndexRange } from '../../worker/pipeline/contract.ts';
import { type SegmentContent, type Silence, segmentKey } from '../../worker/segments/segment-key.ts';
import { SoundHashes } from '../../worker/segments/sound-hashes.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

const MODEL: ModelContentState = { networks: 'n', whole: 'w', entry: 'e', framesPerRun: 8, hearing: USUAL_HEARING };
const FOOTAGE = {
  fileName: 'a.mp4',
  videoSha256: 'v',
  marks: 'rects',
  marksSha256: 'm',
  syncMode: 'loop',
} as const;
/** Ten seconds, in segments of one. */
const FRAMES = 250;
const SAMPLES = 160_000;

interface Change {
  readonly request?: Partial<RenderRequest>;
  readonly plan?: Partial<RenderPlan>;
  readonly model?: Partial<ModelContentState>;
  readonly owner?: string;
  readonly frames?: IndexRange;
  readonly silence?: Silence;
  /** Samples that sound otherwise. */
  readonly edited?: IndexRange;
  /** Of the whole sound. */
  readonly sampleCount?: number;
}

async function keyWith(change: Change = {}): Promise<string | undefined> {
  const { sampleCount = SAMPLES, edited = { start: 0, end: 0 }, owner } = change;
  const samples = Float32Array.from({ length: sampleCount }, (_, at) => Math.sin(at)).fill(0, edited.start, edited.end);
  const sound = new SoundHashes({ sampleCount, read: async ({ start, end }) => samples.slice(start, end) });
  const plan = { ...SAMPLE_PLAN, frameCount: Math.round(sampleCount / 640), sampleCount, ...change.plan };
  const content: SegmentContent = {
    record: { request: { ...SAMPLE_REQUEST, ...change.request }, ...(owner === undefined ? {} : { owner }) },
    ...{ plan, sound, frames: change.frames ?? { start: 100, end: 125 }, silence: change.silence },
    model: { ...MODEL, ...change.model },
  };
  return await segmentKey(content);
}

const voice = (digits: Readonly<Record<number, string>> = {}, idle?: IdleTrack): Silence => ({
  idle,
  voices: new VoiceTrack(Array.from({ length: FRAMES }, (_, frame) => digits[frame] ?? '4').join('')),
});

/** The clip is seen from a frame on. */
const idleFrom = (frame: number) =>
  new IdleTrack({ amounts: '0'.repeat(frame) + '4'.repeat(FRAMES - frame), place: 0 });

test('a segment has another key where anything differs that its bytes may depend on', async () => {
  const changes: Record<string, Change> = {
    owner: { owner: 'ann' },
    'another owner': { owner: 'bob' },
    model: { model: { whole: 'other' } },
    runs: { model: { framesPerRun: 1 } },
    range: { frames: { start: 100, end: 124 } },
    batch: { plan: { batchFrames: 8 } },
    'encoder batch': { plan: { encoderBatchWindows: 16 } },
    output: { request: { output: 'webm' } },
    crf: { plan: { h264Crf: 21 } },
    preset: { plan: { h264Preset: 'fast' } },
    frames: { request: { output: 'frames' } },
    'quality of frames': { request: { output: 'frames', jpegQuality: 80 } },
    start: { request: { startFrameIndex: 1 } },
    walk: { request: { backgroundMode: 'loop' } },
    neutral: { request: { fromNeutral: true } },
    rate: { request: { frameRate: 20 } },
    gate: { silence: voice() },
    silence: { silence: voice({ 110: '0' }) },
    'silence in the same batch': { silence: voice({ 125: '3' }) },
    'an idle clip': { silence: voice({}, idleFrom(105)) },
    'another moment of it': { silence: voice({}, idleFrom(104)) },
    footage: { request: { footage: FOOTAGE } },
    'other footage': { request: { footage: { ...FOOTAGE, videoSha256: 'x' } } },
    'other marks': { request: { footage: { ...FOOTAGE, marksSha256: 'x' } } },
    sync: { request: { footage: { ...FOOTAGE, syncMode: 'bounce' } } },
    'a sample that is heard': { edited: { start: 70_000, end: 70_001 } },
  };
  const keys = new Map<string | undefined, string>([[await keyWith(), 'nothing']]);
  for (const [name, change] of Object.entries(changes)) {
    const key = await keyWith(change);
    assert.ok(key !== undefined && !keys.has(key), `${name}: as ${keys.get(key)}`);
    keys.set(key, name);
  }
});

test('it has the same key where what differs is nothing to it', async () => {
  const key = await keyWith();
  const same: Record<string, Change> = {
    'sound long before': { edited: { start: 0, end: 25_000 } },
    'sound long after': { edited: { start: 130_000, end: SAMPLES } },
    'a longer sound': { sampleCount: SAMPLES + 64_000 },
    'names and labels': { request: { fileName: 'other.wav', labels: { a: 'b' }, priority: 'high', uploadSha256: 'x' } },
    'a part of it': { request: { range: { from: 100 } }, plan: { firstFrame: 100, frameCount: 150, totalFrames: 250 } },
    'quality of frames, of a video': { request: { jpegQuality: 80 } },
    'an entry under another name': { model: { entry: 'other' } },
  };
  for (const [name, change] of Object.entries(same)) assert.equal(await keyWith(change), key, name);
  assert.equal(
    await keyWith({ silence: voice({ 10: '0' }) }),
    await keyWith({ silence: voice() }),
    'silence elsewhere',
  );
});

test('the last segment hears where the sound ends, and a walk that turns back how long it is', async () => {
  const last = { frames: { start: 225, end: 250 } };
  assert.notEqual(await keyWith({ ...last, sampleCount: SAMPLES + 64_000 }), await keyWith(last));
  const turning = { request: { fromNeutral: true } } as const;
  assert.notEqual(await keyWith({ ...turning, sampleCount: SAMPLES + 64_000 }), await keyWith(turning));
});

test('without the content of the model there is no key, but for pictures that come with the request', async () => {
  const { whole: _, ...unread } = MODEL;
  const content = { record: { request: SAMPLE_REQUEST }, plan: SAMPLE_PLAN, frames: { start: 0, end: 25 } };
  const sound = new SoundHashes({ sampleCount: 96_000, read: async () => new Float32Array() });
  assert.equal(await segmentKey({ ...content, sound, model: unread }), undefined);
  const record = { request: { ...SAMPLE_REQUEST, footage: FOOTAGE } };
  assert.ok(await segmentKey({ ...content, sound, record, model: unread }));
});
