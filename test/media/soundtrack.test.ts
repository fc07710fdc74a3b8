import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { createLogger } from '../../shared/process/log.ts';
import type { RenderPlan, RenderRequest } from '../../shared/renders/record.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { encodeSoundAhead } from '../../worker/media/prepare-sound.ts';
import { soundtrackOf } from '../../worker/media/soundtrack.ts';
import { startRedisServer } from '../support/redis-server.ts';

const server = await startRedisServer();
const renders = new RenderStore(await server.connect());
const folder = await mkdtemp(path.join(tmpdir(), 'soundtrack-'));
after(() => rm(folder, { recursive: true, force: true }));
const artifacts = new LocalArtifacts(folder);
const log = createLogger('media', {
  ...{ level: 'silent', buffered_logging: false, auto_flush: false, flush_interval_ms: 1 },
});
const NEVER = new AbortController().signal;

const REQUEST: RenderRequest = {
  ...{ modelId: 'ann', output: 'mp4', startFrameIndex: 0, jpegQuality: 75 },
  ...{ fileName: 'speech.wav', uploadBytes: 44, uploadSha256: 'abc' },
};
const PLAN: RenderPlan = {
  ...{ sampleCount: 6400, frameCount: 10, segmentFrames: 100, batchFrames: 4, encoderBatchWindows: 32 },
  ...{ h264Crf: 20, h264Preset: 'veryfast', segmentGpus: [0] },
  sound: { sampleRateHz: 16_000, storedChannels: 1, channels: 1, gain: 1 },
};

async function planned(renderId: string): Promise<void> {
  await renders.admit(renderId, REQUEST, 10, undefined);
  await renders.startPreparing(renderId);
  await renders.startRendering(renderId, PLAN);
  const sound = Int16Array.from({ length: 6400 }, (_, at) => 9000 * Math.sin(at / 9));
  await artifacts.publish(artifactKeys.sound(renderId), (target) => writeFile(target, new Uint8Array(sound.buffer)));
}

const ahead = async (renderId: string, signal = NEVER) =>
  await encodeSoundAhead({ renders, artifacts }, await renders.get(renderId), { signal, log });

test('sound that was encoded ahead is what the last step would encode, and is not encoded again', async () => {
  for (const id of ['ahead', 'later']) await planned(id);
  await ahead('ahead');
  const encoded = await readFile(artifacts.localPath(artifactKeys.soundtrack('ahead')));
  assert.deepEqual(encoded, await artifacts.contents(await soundtrackOf(artifacts, 'later', PLAN, NEVER)));
  await artifacts.remove(artifactKeys.sound('ahead'));
  await soundtrackOf(artifacts, 'ahead', PLAN, NEVER);
});

test('sound that cannot be encoded ahead is left to the last step, which says what is wrong', async () => {
  await planned('broken');
  await artifacts.remove(artifactKeys.sound('broken'));
  await ahead('broken');
  await assert.rejects(soundtrackOf(artifacts, 'broken', PLAN, NEVER), /sound\.s16: .*no such file/);
});

test('a job that is to end says so, and nothing stays of a render that is gone', async () => {
  await planned('gone');
  const record = await renders.get('gone');
  const reason = new Error('the worker drains');
  await assert.rejects(ahead('gone', AbortSignal.abort(reason)), reason);
  await renders.cancel('gone');
  await encodeSoundAhead({ renders, artifacts }, record, { signal: NEVER, log });
  assert.equal(await artifacts.size(artifactKeys.soundtrack('gone')), undefined);
});

/** What ffmpeg makes of a file, as 16-bit samples at 48 kHz. */
async function heard(input: readonly string[], file: string): Promise<Int16Array> {
  const form = ['-ar', '48000', '-ac', '1', '-f', 's16le', '-'];
  const options = { encoding: 'buffer', maxBuffer: 2 ** 24 } as const;
  const { stdout } = await promisify(execFile)('ffmpeg', ['-v', 'error', ...input, '-i', file, ...form], options);
  return new Int16Array(new Uint8Array(stdout).buffer);
}

test('a voice recorded at 16 kHz is heard as it was: what is lost lies 45 dB below it', async () => {
  const [seconds, rateHz] = [4, 16_000];
  const speech = await readFile(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
  await planned('voice');
  await artifacts.publish(artifactKeys.sound('voice'), (target) =>
    writeFile(target, speech.subarray(44, 44 + 2 * seconds * rateHz)),
  );
  const plan = { ...PLAN, frameCount: seconds * 25 };
  const encoded = await heard([], artifacts.localPath(await soundtrackOf(artifacts, 'voice', plan, NEVER)));
  const raw = ['-f', 's16le', '-ar', String(rateHz), '-ac', '1'];
  const given = await heard(raw, artifacts.localPath(artifactKeys.sound('voice')));
  const power = (valueAt: (index: number) => number) => given.reduce((sum, _, index) => sum + valueAt(index) ** 2, 0);
  const lost = power((index) => (given[index] ?? 0) - (encoded[index] ?? 0));
  const below = 10 * Math.log10(power((index) => given[index] ?? 0) / lost);
  assert.ok(below > 45, `what is lost lies ${below.toFixed(1)} dB below`);
});
