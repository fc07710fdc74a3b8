import assert from 'node:assert/strict';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import sharp from 'sharp';
import type { Frame, Open, StreamRequest } from '../../api/grpc/messages/farm.ts';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import type { SubmitOptions } from '../../client/requests.ts';
import type { Receipt } from '../../shared/views/render-view.ts';
import type { TestFarm } from '../support/farm.ts';
import {
  faceBrightness,
  IDLE_DIR,
  IDLE_REDS,
  RENAMED_MODEL,
  SMALL_PICTURE,
  SMALL_PICTURES,
} from '../support/small-avatar.ts';
import { writeFloatWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { type Message, MONOLITHIC, send, TestClient } from './clients.ts';
import { differences, f32, speech } from './speech.ts';

export const LISTENER = { ...RENAMED_MODEL, silence_gate: true, silence_idle_after_ms: 200, idle_dir: IDLE_DIR };

/** A second of hum at −57 dB, 0.4 s of speech, a second of hum. */
const SOUND = new Float32Array(2.4 * 16_000).map((_, at) => 0.002 * Math.sin(at));
SOUND.set(speech(0.4), 16_000);
/**
 * How much of the clip each frame shows, in quarters: after five frames of silence it comes, and it goes as the voice
 * comes, which is heard in frames 25 to 34.
 */
const AMOUNTS = [...'000001234444444444444321000000000000000000000001234444444444'].map(Number);
/** Of a single request, more than half of it in the clip. */
const BATCH = 20;
const CORNER = { x: 60, y: 2 } as const;

/** Tests of a model with an idle clip, on the farm of `farm-calls.test.ts`. */
export function describeIdleClip(farm: TestFarm): void {
  describe('an idle clip', () => {
    const client = new TestClient(farm.grpcAddress);
    after(() => client.close());
    /** Waits until the farm has counted what its receipt says. */
    const countsOf = async (counts: Readonly<Record<string, number | undefined>>) =>
      await until('it is counted', async () => {
        const page = await (await fetch(`${farm.url}/metrics`)).text();
        return Object.entries(counts).every(([name, count]) =>
          page.includes(`farm_${name}_frames_total{model="listener",gpu="0",kind="render"} ${count}\n`),
        );
      });

    it('is seen in long silences, fades in and out, and is the same in renders, streams and single requests', async () => {
      const upload = path.join(farm.folder, 'long-pause.wav');
      await writeFloatWav(upload, SOUND);
      const silences: Receipt['silence_gate'][] = [];
      const framesOf = async (modelId: string, options: SubmitOptions = {}) => {
        const { id } = await farm.client.submit(upload, { modelId, output: 'frames', ...options });
        await farm.client.finished(id);
        silences.push((await farm.client.receipt(id)).silence_gate);
        return await Promise.all(AMOUNTS.map((_, index) => farm.client.frame(id, index)));
      };
      const frames = await framesOf('listener');
      isNear(await Promise.all(frames.map(redAt)));
      // What shows nothing of the clip is as without one, with the usual network too.
      const plain = await framesOf('small', { silenceGate: true });
      const changed = AMOUNTS.flatMap((amount, index) => (amount === 0 ? [] : [index]));
      assert.deepEqual(differences(frames, plain), changed);
      assert.ok((await faceBrightness(frames[30] as Buffer, 30)) > 5, 'somebody speaks');
      const idle = AMOUNTS.filter((amount) => amount > 0).length;
      const [listening, still] = silences;
      assert.deepEqual([listening?.idle_frames, still?.idle_frames], [idle, 0]);
      assert.equal(listening?.frames, still?.frames);
      await countsOf({ silent: listening?.frames, spared: listening?.spared_frames });
      const streamed = await stream(client, { model_id: 'listener' });
      assert.deepEqual(differences(streamed, frames), []);
      const batch = { model_id: 'listener', batch_size: BATCH, raw_audio: f32(SOUND) };
      const answer = await client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', batch);
      assert.deepEqual(differences([...answer.composited_frames], frames.slice(0, BATCH)), []);
      const raw = await stream(client, { model_id: 'listener', output: 'RAW' });
      const reds = raw.map((pixels) => pixels[(CORNER.y * SMALL_PICTURE.width + CORNER.x) * 3] as number);
      isNear(reds);
    });
  });
}

/** What is red in the corner of each frame. */
function expectedReds(): number[] {
  let place = 0;
  return AMOUNTS.map((amount, index) => {
    place = amount === 0 ? 0 : place + 1;
    const walked = index % (2 * SMALL_PICTURES - 2);
    const own = 20 + 14 * Math.min(walked, 2 * SMALL_PICTURES - 2 - walked);
    const idle = IDLE_REDS[(place - 1) % IDLE_REDS.length] ?? 0;
    return Math.round((own * (4 - amount) + idle * amount) / 4);
  });
}

/** To what JPEG and its colours make of it. */
function isNear(reds: readonly number[]): void {
  const expected = expectedReds();
  assert.equal(reds.length, expected.length);
  for (const [index, red] of reds.entries()) {
    assert.ok(Math.abs(red - (expected[index] as number)) <= 2, `frame ${index}: ${red}, not ${expected[index]}`);
  }
}

async function redAt(jpeg: Buffer): Promise<number> {
  const { data } = await sharp(jpeg)
    .extract({ left: CORNER.x, top: CORNER.y, width: 1, height: 1 })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return data[0] as number;
}

/** The frames of a stream, whose sound comes in pieces that end anywhere. */
async function stream(client: TestClient, open: Partial<Open>): Promise<Buffer[]> {
  const call = client.stream();
  const frames: Buffer[] = [];
  const answer = (async () => {
    for await (const message of call as AsyncIterable<Message>) {
      if (message.frame) frames.push((message.frame as Frame).data);
    }
  })();
  call.write({ open } as StreamRequest);
  const bytes = f32(SOUND);
  for (let at = 0; at < bytes.length; at += 7777) await send(call, { audio: bytes.subarray(at, at + 7777) });
  call.end();
  await answer;
  return frames;
}
