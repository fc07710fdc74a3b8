import assert from 'node:assert/strict';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { type FfmpegCommand, probe, runFfmpeg } from '../../worker/tools/ffmpeg.ts';
import { FfmpegFeed } from '../../worker/tools/ffmpeg-feed.ts';
import { ffmpeg, lavfi, privateFolder } from './media-files.ts';

const file = privateFolder();
const NEVER = new AbortController().signal;
const MINUTE_MS = 60_000;

/** Runs for an hour, in real time, and writes from its first moment on. */
function endless(outputPath: string): FfmpegCommand {
  return {
    inputs: [{ source: 'anullsrc=r=8000:d=3600', options: ['-re', '-f', 'lavfi'] }],
    outputOptions: ['-c:a', 'pcm_f32le', '-flush_packets', '1', '-f', 'f32le'],
    outputPath,
  };
}

/** Resolves once a file of this name has something in it. */
async function firstBytes(name: string): Promise<void> {
  const watcher = watch(file('.'));
  while (((await stat(file(name)).catch(() => undefined))?.size ?? 0) === 0) await once(watcher, 'change');
  watcher.close();
}

/** Processes that have this text in their command line. */
async function processesWith(text: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return commands.filter((command) => command.includes(text));
}

const onLinux = { skip: process.platform !== 'linux' };

test('aborting stops ffmpeg, and rejects with the reason once it has ended', onLinux, async () => {
  const abort = new AbortController();
  const output = file('aborted.f32');
  const running = runFfmpeg(endless(output), { signal: abort.signal, timeoutMs: MINUTE_MS });
  running.catch(() => {});
  await firstBytes('aborted.f32');
  assert.equal((await processesWith(output)).length, 1);
  const reason = new Error('the render was cancelled');
  abort.abort(reason);
  await assert.rejects(running, reason);
  assert.deepEqual(await processesWith(output), []);
});

test('aborting before ffmpeg has started stops it as well', onLinux, async () => {
  const abort = new AbortController();
  const output = file('never.f32');
  const running = runFfmpeg(endless(output), { signal: abort.signal, timeoutMs: MINUTE_MS });
  const reason = new Error('too late');
  abort.abort(reason);
  await assert.rejects(running, reason);
  assert.deepEqual(await processesWith(output), []);
});

test('a command that takes too long is stopped, and the error says after what time', onLinux, async () => {
  const output = file('slow.f32');
  await assert.rejects(runFfmpeg(endless(output), { signal: NEVER, timeoutMs: 700 }), {
    code: 'tool_failed',
    message: 'ffmpeg was stopped after 0.7 s',
  });
  assert.deepEqual(await processesWith(output), []);
});

test('a failure says what ffmpeg said', async () => {
  const command = {
    inputs: [{ source: file('nowhere.wav'), options: [] }],
    outputOptions: [],
    outputPath: file('x.wav'),
  };
  await assert.rejects(runFfmpeg(command, { signal: NEVER, timeoutMs: MINUTE_MS }), {
    code: 'encode_failed',
    message: /nowhere\.wav: No such file or directory/,
  });
});

test('what is written to it can be the input, and a file name may hold spaces', async () => {
  const [fed, outputPath] = [file('fed to it.wav'), file('a copy of it.wav')];
  const limits = { signal: NEVER, timeoutMs: MINUTE_MS };
  const inputOptions = ['-f', 'f32le', '-ar', '16000', '-ac', '1'];
  const feed = new FfmpegFeed({ inputOptions, outputOptions: [], outputPath: fed }, limits);
  await feed.write(Buffer.alloc(16_000 * 4));
  await feed.end();
  await runFfmpeg({ inputs: [{ source: fed, options: [] }], outputOptions: [], outputPath }, limits);
  assert.deepEqual(await probe(outputPath, []), [
    {
      index: 0,
      codecType: 'audio',
      codec: 'pcm_s16le',
      durationS: 1,
      sampleRateHz: 16_000,
      channels: 1,
      layout: undefined,
      isDefault: false,
    },
  ]);
});

test('probing tells the tracks and their lengths, as far as the file does', async () => {
  await ffmpeg(...lavfi('testsrc=s=64x48:d=0.4'), ...lavfi('sine=d=0.2'), file('both.mp4'));
  const [video, audio] = await probe(file('both.mp4'), []);
  assert.equal(video?.durationS, 0.4);
  assert.deepEqual([video?.codecType, video?.codec, video?.channels], ['video', 'h264', 0]);
  assert.deepEqual(
    [audio?.codecType, audio?.codec, audio?.sampleRateHz, audio?.layout, audio?.isDefault],
    ['audio', 'aac', 44_100, 'mono', true],
  );
  assert.ok(Math.abs((audio?.durationS ?? 0) - 0.2) < 0.03, `${audio?.durationS}`);
  await ffmpeg(...lavfi('sine=d=0.2'), '-c:a', 'flac', '-live', '1', '-f', 'matroska', file('silent.mkv'));
  const [silent] = await probe(file('silent.mkv'), []);
  assert.deepEqual([silent?.codecType, silent?.durationS], ['audio', undefined]);
});

test('probing a file that is none is an unreadable file', async () => {
  await writeFile(file('upload'), 'text');
  await assert.rejects(probe(file('upload'), []), {
    code: 'audio_unreadable',
    message: 'ffmpeg cannot read this file: it is in no sound or video format that is taken',
  });
});

test('output is read as it comes; leaving early ends ffmpeg', onLinux, async () => {
  const args = ['-v', 'error', '-f', 'lavfi', '-i', 'anullsrc=r=8007', '-f', 'f32le', 'pipe:1'];
  for await (const bytes of outputOf('ffmpeg', args, { signal: NEVER, timeoutMs: MINUTE_MS })) {
    assert.ok(bytes.length > 0);
    assert.equal((await processesWith('anullsrc=r=8007')).length, 1);
    break;
  }
  assert.deepEqual(await processesWith('anullsrc=r=8007'), []);
});

test('output that is called off ends ffmpeg and rejects with the reason', onLinux, async () => {
  const abort = new AbortController();
  const reason = new Error('the render was cancelled');
  const args = ['-v', 'error', '-f', 'lavfi', '-i', 'anullsrc=r=8009', '-f', 'f32le', 'pipe:1'];
  await assert.rejects(async () => {
    for await (const _ of outputOf('ffmpeg', args, { signal: abort.signal, timeoutMs: MINUTE_MS })) abort.abort(reason);
  }, reason);
  assert.deepEqual(await processesWith('anullsrc=r=8009'), []);
});
