import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { footageOf } from '../../client/node/footage.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { writeFootage } from '../support/footage.ts';
import { framesOf as storedFrames } from '../support/result-files.ts';
import { untilSegmentRuns } from '../support/running-segment.ts';
import { CLEAR_MODEL, IDLE_DIR, SMALL_HEARERS, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { checkFrames, decodeWebm, TransparentRenders } from './transparent.ts';

/**
 * 105 frames, so that segments of 20 end inside the render; with silence around them, which the gate finds, and another
 * walk 130.
 */
const FRAMES = 105;
const SILENCE = { audioLeadMs: 480, audioTailMs: 520, silenceGate: true } as const;
const WALK = { backgroundMode: 'loop', startFrame: 5, fromNeutral: true, ...SILENCE } as const;
/** 50 frames, three segments of 20: enough to kill a worker in between. */
const VIDEO_FRAMES = 50;
const SEGMENT_FRAMES = 20;
/** Of footage and transparent videos: 30 frames, two segments; a range of one segment has another cut. */
const BRIEF_FRAMES = 30;
const BRIEF_RANGE = { from: 10, to: 30 } as const;
/** A range that is one segment, in whose middle one of the whole render ends. */
const RANGE = { from: 30, to: 50 } as const;
/** What is behind an avatar is not seen where frames keep its alpha. */
const clear = { ...CLEAR_MODEL, background: '#00ff00' };
/** Its silence is seen to its end with other pictures. */
const small = { ...SMALL_MODEL, idle_dir: IDLE_DIR, silence_idle_after_ms: 120 };
/** Frames are compared with small pictures, which are soon made; videos with the demo avatar. */
const models = { demo: DEMO_MODEL, small, clear, ...SMALL_HEARERS };

describe('the same audio gives the same bytes', () => {
  let folder = '';
  let speech = '';
  let shortSpeech = '';
  let briefSpeech = '';
  const hashes = new Map<string, string>();

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-bytes-'));
    speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(FRAMES / 25));
    shortSpeech = path.join(folder, 'short.wav');
    await writeWav(shortSpeech, syllables(VIDEO_FRAMES / 25));
    briefSpeech = path.join(folder, 'brief.wav');
    await writeWav(briefSpeech, syllables(BRIEF_FRAMES / 25));
  });
  after(async () => await rm(folder, { recursive: true, force: true }));

  it('in other segments, on one GPU worker and on two, also when one is killed in mid-render', async () => {
    await using farm = await startFarm({ models, render: { segment_frames: SEGMENT_FRAMES }, gpus: { count: 2 } });
    await farm.client.drainGpu(1);
    const frames = await framesOf(farm, speech);
    await expectSame('frames', hashOf(frames));
    assert.ok(
      Buffer.concat(await framesOf(farm, speech, RANGE)).equals(Buffer.concat(frames.slice(RANGE.from, RANGE.to))),
    );
    const whole = await farm.client.submit(shortSpeech, { modelId: 'demo' });
    await expectSame('mp4', await hashOfRender(farm.client, whole.id, folder));
    const own = await writeFootage(folder);
    const footage = await footageOf(own.video, own.rects, 'bounce');
    const dub = async () => {
      const { id } = await farm.client.submit(briefSpeech, { modelId: 'small', footage });
      return await hashOfRender(farm.client, id, folder);
    };
    await expectSame('footage', await dub());
    const transparent = new TransparentRenders(farm.client, folder);
    const { sha256, file } = await transparent.webm(briefSpeech);
    await expectSame('webm', sha256);
    const pngs = await transparent.pngs(briefSpeech, 0, BRIEF_FRAMES);
    checkFrames(pngs, await decodeWebm(file));
    await farm.client.resumeGpu(1);
    await expectSame('footage', await dub());
    await expectSame('webm', (await transparent.webm(briefSpeech)).sha256);
    const { from, to } = BRIEF_RANGE;
    assert.deepEqual(await transparent.pngs(briefSpeech, from, to), pngs.slice(from, to));
    await expectSame('frames', hashOf(await framesOf(farm, speech)));
    for (const modelId of Object.keys(SMALL_HEARERS)) {
      const whole = await framesOf(farm, speech, { from: 10, to: RANGE.to }, modelId);
      assert.ok(new Set(whole.map(String)).size > 10, `${modelId} hears what is said`);
      const part = await framesOf(farm, speech, RANGE, modelId);
      assert.equal(hashOf(part), hashOf(whole.slice(RANGE.from - 10)), modelId);
    }
    const submit = () => farm.client.submit(shortSpeech, { modelId: 'demo' });
    const { id, gpu } = await untilSegmentRuns(farm.client, submit, 1);
    farm.kill(`gpu-${gpu}`);
    await expectSame('mp4', await hashOfRender(farm.client, id, folder));
    assert.ok(farm.log.some((line) => line.includes(`gpu-${gpu} ended unexpectedly`)));
  });

  async function expectSame(kind: string, hash: string): Promise<void> {
    assert.equal(hash, hashes.get(kind) ?? hash, `${kind} differ`);
    hashes.set(kind, hash);
  }
});

async function framesOf(
  farm: TestFarm,
  speech: string,
  { from, to }: { readonly from: number; readonly to: number } = { from: 0, to: FRAMES + 25 },
  modelId = 'small',
): Promise<Buffer[]> {
  const { id } = await farm.client.submit(speech, { modelId, output: 'frames', ...WALK, from, to });
  const view = await farm.client.finished(id);
  assert.equal(view.frames.total, to - from);
  if (modelId === 'small' && from === 0) {
    assert.ok(((await farm.client.receipt(id)).silence_gate?.idle_frames ?? 0) > 10);
  }
  const frames = await storedFrames(farm, id);
  assert.equal(frames.length, to - from);
  return frames;
}

function hashOf(files: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file);
  return hash.digest('hex');
}

async function hashOfRender(client: NodeFarmClient, id: string, folder: string): Promise<string> {
  let done = 0;
  for await (const { frames } of client.watch(id)) {
    assert.ok(frames.done >= done, `the progress fell from ${done} to ${frames.done}`);
    done = frames.done;
  }
  const file = path.join(folder, `${id}.mp4`);
  await client.saveVideo(id, file);
  return hashOf([await readFile(file)]);
}
