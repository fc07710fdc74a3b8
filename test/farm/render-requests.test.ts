import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Estimate } from '../../shared/views/estimate-view.ts';
import type { Receipt, RenderView } from '../../shared/views/render-view.ts';
import { differences } from '../grpc/speech.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { decodeFrames, decodeSound, inspectVideo } from '../support/ffprobe.ts';
import { isFrame, watched } from '../support/mjpeg.ts';
import { framesOf } from '../support/result-files.ts';
import { SMALL_MODEL, SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { footageTests } from './footage-tests.ts';

const SECONDS = 3;
/** Long enough that its picture is there while it is asked for. */
const LONG_SECONDS = 40;

/** What a user may ask of renders, at a whole farm, from the form to what is fetched. */
describe('requests for renders', () => {
  let farm: TestFarm;
  let sound: Buffer;
  /** Renders of the whole sound, for several tests. */
  const whole = { video: '', frames: '' };

  before(async () => {
    farm = await startFarm({
      models: { demo: SMALL_MODEL },
      host: { name: 'gpu-host-1' },
      render: { segment_frames: 20 },
      inputs: { url_hosts: ['127.0.0.1'], url_networks: ['127.0.0.1'] },
      webhooks: { secrets: [`whsec_${Buffer.alloc(24, 7).toString('base64')}`], allow_private_addresses: true },
    });
    sound = await speech(SECONDS);
    whole.video = await submit({});
    whole.frames = await submit({ output: 'frames', start_frame: '3' });
  });
  after(() => farm[Symbol.asyncDispose]());

  async function speech(seconds: number): Promise<Buffer> {
    const file = path.join(farm.folder, 'speech.wav');
    await writeWav(file, syllables(seconds));
    return await readFile(file);
  }
  async function submit(fields: Record<string, string>, wav = sound): Promise<string> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    form.set('audio', new Blob([new Uint8Array(wav)]), 'upload.wav');
    const answer = await fetch(`${farm.url}/v1/renders`, { method: 'POST', body: form });
    assert.equal(answer.status, 202);
    return ((await answer.json()) as RenderView).id;
  }
  const render = async (fields: Record<string, string>) => await farm.client.finished(await submit(fields));
  const receiptOf = async ({ id }: RenderView): Promise<Receipt> => await farm.client.receipt(id);

  it('of a range have the bytes of the whole render in each of its frames, under their own numbers', async () => {
    const part = await render({ output: 'frames', start_frame: '3', from: '13', to: '58' });
    await farm.client.finished(whole.frames);
    assert.deepEqual(part.frames, { done: 45, total: 45, repeating: 0 });
    assert.deepEqual(part.range, { from: 13, to: 58 });
    for (let frame = 13; frame < 58; frame++) {
      const [own, same] = [await farm.client.frame(part.id, frame), await farm.client.frame(whole.frames, frame)];
      assert.ok(own.equals(same), `frame ${frame}`);
    }
    for (const outside of [12, 58]) {
      await assert.rejects(farm.client.frame(part.id, outside), { code: 'frame_unknown', message: /13 to 57/ });
    }
    const receipt = await receiptOf(part);
    assert.deepEqual([receipt.frames, receipt.range], [45, { from: 13, to: 58, of: 75 }]);
    assert.deepEqual(
      receipt.segments.map(({ frames }) => [frames.start, frames.end]),
      [
        [13, 33],
        [33, 53],
        [53, 58],
      ],
    );
  });

  it('walk over the pictures as they ask, in silence before and after the sound if they want some', async () => {
    const silence = { audio_lead_ms: '200', audio_tail_ms: '120' };
    const file = path.join(farm.folder, 'padded.wav');
    await writeWav(file, Float32Array.from([...new Float32Array(3200), ...syllables(1), ...new Float32Array(1920)]));
    const [bare, padded] = [await speech(1), await readFile(file)];
    const asked = { output: 'frames', start_frame: '3', background_mode: 'loop' };
    const renders = await Promise.all([
      submit({ ...asked, ...silence }, bare),
      submit(asked, padded),
      submit({ ...asked, background_mode: 'ping-pong' }, padded),
      submit({ ...asked, background_mode: 'hold' }, padded),
      submit({ output: 'frames', start_frame: '3', from_neutral: 'true' }, padded),
    ]);
    const [own = [], same = [], fro = [], held = [], back = []] = await Promise.all(
      renders.map(async (id) => {
        await farm.client.finished(id);
        return await framesOf(farm, id);
      }),
    );
    assert.equal(own.length, 33);
    assert.deepEqual(differences(own, same), []);
    // Of seven pictures, 3 4 5 6 5 4 … beside 3 4 5 6 0 1 … and 3 4 5 6 6 6 …
    assert.deepEqual(differences(own, fro).slice(0, 3), [4, 5, 6]);
    // Frame 16 is the middle one: 17 shows the picture of 15.
    assert.equal(differences(back, fro)[0], 17);
    assert.equal((await farm.client.receipt(renders[4] ?? '')).background?.from_neutral, true);
    assert.deepEqual(differences(held, own).slice(0, 3), [4, 5, 6]);
    const { audio, background } = await farm.client.receipt(renders[0] ?? '');
    assert.deepEqual([audio.seconds, audio.lead_ms, audio.tail_ms], [1.32, 200, 120]);
    assert.deepEqual(background, { mode: 'loop', start_frame: 3, from_neutral: false });
    const receipt = await farm.client.receipt(renders[2] ?? '');
    assert.deepEqual([receipt.background?.mode, receipt.audio.lead_ms], ['ping-pong', 0]);
    const video = path.join(farm.folder, 'silent.mp4');
    await farm.client.saveVideo((await render({ audio_lead_ms: '400', to: '20' })).id, video);
    const heard = await decodeSound(video);
    const loudest = (samples: Float32Array) => samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    assert.ok(loudest(heard.subarray(0, 5600)) < 0.01 && loudest(heard.subarray(6400)) > 0.1, 'AAC smears a little');
  });

  footageTests(() => farm);

  it('may name a sound by its address: the same frames as of the file', async () => {
    const server = createServer((_, answer) => answer.end(sound)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const audio_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/speech.wav`;
    const body = JSON.stringify({ audio_url, output: 'frames', start_frame: 3, to: 20 });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${farm.url}/v1/renders`, { method: 'POST', headers, body });
    const fetched = await farm.client.finished(((await answer.json()) as RenderView).id);
    const sent = await farm.client.finished(whole.frames);
    assert.deepEqual(differences(await framesOf(farm, fetched.id), (await framesOf(farm, sent.id)).slice(0, 20)), []);
    assert.equal((await receiptOf(fetched)).audio.sha256, (await receiptOf(sent)).audio.sha256);
    server.close();
  });

  it('of a range give a clip with the sound of that part', async () => {
    const part = await render({ from: '25', to: '1000' });
    await farm.client.finished(whole.video);
    assert.deepEqual([part.range, part.frames.total], [{ from: 25, to: 75 }, 50]);
    const [all, clip] = [path.join(farm.folder, 'all.mp4'), path.join(farm.folder, 'clip.mp4')];
    await farm.client.saveVideo(whole.video, all);
    await farm.client.saveVideo(part.id, clip);
    assert.equal((await inspectVideo(clip)).videoTimes.length, 50);
    const [before, after] = [await decodeSound(all), await decodeSound(clip)];
    // AAC is lossy: compared is how alike both are from the first second on.
    let [same, power] = [0, 0];
    for (let at = 4000; at < after.length - 4000; at++) {
      same += ((after[at] ?? 0) - (before[at + 16_000] ?? 0)) ** 2;
      power += (before[at + 16_000] ?? 0) ** 2;
    }
    assert.ok(same < 0.01 * power, `${same} of ${power} differ`);
    assert.equal((await receiptOf(part)).video?.seconds, 2);
    const frames = await decodeFrames(clip, SMALL_PICTURE.width, SMALL_PICTURE.height);
    const shown = await watched(`${farm.url}/v1/renders/${part.id}/preview?as=mjpeg&from=71`);
    assert.deepEqual(
      shown.map(({ frameIndex }) => frameIndex),
      [71, 72, 73, 74],
      'numbered as in the whole render',
    );
    for (const { frameIndex, jpeg } of shown) assert.ok(await isFrame(jpeg, frames, frameIndex - 25));
  });

  it('can be estimated before, from what the GPU has measured', async () => {
    const body = JSON.stringify({ audio_seconds: SECONDS, from: 13, to: 58 });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${farm.url}/v1/renders/estimate`, { method: 'POST', headers, body });
    const { frames, gpus, ...times } = (await answer.json()) as Estimate;
    assert.deepEqual([frames, gpus], [45, 1]);
    const [frameMs = 0] = (await farm.client.gpus()).gpus.flatMap(({ models }) => models.map((one) => one.frame_ms));
    assert.ok(Math.abs((times.gpu_seconds ?? 0) - (45 * (frameMs ?? 0)) / 1000) < 0.02, JSON.stringify(times));
    assert.ok((times.finish_seconds ?? 0) >= (times.queue_seconds ?? -1) + (times.gpu_seconds ?? 0) - 0.02);
  });

  it('of a range fail when that lies behind the end of the sound', async () => {
    await assert.rejects(render({ from: '75' }), { code: 'request_invalid', message: /frame 75, .* 0 to 74/ });
  });

  it('of own footage leave nothing of it behind once they are complete', async () => {
    const { renders } = await farm.client.list(100, { status: 'completed' });
    const isLeft = async ({ id }: RenderView) =>
      (await readdir(path.join(farm.folder, 'data/renders', id))).some((name) => name.startsWith('footage'));
    await until('it is removed', async () => !(await Promise.all(renders.map(isLeft))).includes(true));
  });

  it('are all shown by examples, each of which does what it says', async () => {
    const { paths } = (await (await fetch(`${farm.url}/openapi.json`)).json()) as Described;
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    for (const id of Object.values(whole)) await farm.client.finished(id);
    const running = await submit({}, await speech(LONG_SECONDS));
    const hasPicture = async () => (await fetch(`${farm.url}/v1/renders/${running}/preview`)).ok;
    await until('it has a picture', hasPicture, 100);
    const turn = ({ operationId }: DescribedOperation) => TURNS[operationId] ?? 0;
    for (const { operationId, ...operation } of operations.sort((a, b) => turn(a) - turn(b))) {
      const source = operation['x-codeSamples']?.[0]?.source ?? '';
      const id = { getFrame: whole.frames, getPreview: running }[operationId] ?? whole.video;
      const command = source
        .replaceAll(EXAMPLE.farm, farm.url)
        .replaceAll(EXAMPLE.render, id)
        .replaceAll(EXAMPLE.receiver, farm.url);
      const endless = operationId === 'followRenders' ? ' --max-time 1' : '';
      const { code, output } = await shell(`${command} --fail-with-body -sS${endless}`, farm.folder);
      const refusal = REFUSALS[operationId];
      const expected = operationId === 'followRenders' ? TIME_IS_UP : refusal ? REFUSED : 0;
      assert.equal(code, expected, `${command}: exit code ${code}, ${output}`);
      if (refusal) assert.match(output, new RegExp(`"${refusal}"`));
      if (id === running) await farm.client.cancel(running);
    }
    await assert.rejects(farm.client.get(whole.video), { code: 'render_unknown' }, 'the last example removes it');
  });
});

/** What stands in all examples for the reader's own. */
const EXAMPLE = {
  farm: 'http://127.0.0.1:8080',
  render: 'r0mwsm4v4r-d376f0928d',
  receiver: 'https://example.com/renders',
};
/** Exit codes of curl. */
const TIME_IS_UP = 28;
const REFUSED = 22;

/** What this farm has not: a bucket, and a second host. test/faults has both. */
const REFUSALS: Readonly<Record<string, string>> = {
  beginUpload: 'uploads_unavailable',
  getUpload: 'upload_unknown',
  completeUpload: 'upload_unknown',
  deleteUpload: 'upload_unknown',
  forgetHost: 'farm_host_unknown',
};

/** Where it matters: the picture is there while the render runs, and the video until it is removed. */
const TURNS: Readonly<Record<string, number>> = { getPreview: -1, deleteRender: 1 };

interface Described {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DescribedOperation>>>>;
}
interface DescribedOperation {
  readonly operationId: string;
  readonly 'x-codeSamples'?: readonly { readonly source: string }[];
}

async function shell(command: string, cwd: string): Promise<{ code: number; output: string }> {
  const child = spawn('bash', ['-c', command], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => void output.push(String(data)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output: output.join('').slice(0, 500) };
}
