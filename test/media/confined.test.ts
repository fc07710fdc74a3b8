import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { crc32, deflateSync } from 'node:zlib';
import { confined, MOST_TOOL_BYTES } from '../../shared/tools/confined.ts';
import { checkedPendingVideo } from '../../worker/avatar/frame-folder.ts';
import { findSoundTrack } from '../../worker/media/sound-track.ts';
import { UPLOAD_GUARDS } from '../../worker/media/upload-input.ts';
import { probe, runFfmpeg } from '../../worker/tools/ffmpeg.ts';
import { ffmpeg, lavfi, privateFolder } from './media-files.ts';

/** What ffmpeg may open, and how much it may take, whatever its input asks for. */

const run = promisify(execFile);
const file = privateFolder();
const { signal } = new AbortController();

it('a cover that unfolds to gigabytes is not unfolded', async () => {
  const sound = file('sound.flac');
  await ffmpeg(...lavfi('sine=duration=0.2'), sound);
  const side = 9000;
  await writeFile(file('cover.png'), blankPng(side));
  const upload = file('upload.flac');
  await ffmpeg(
    '-i',
    sound,
    '-i',
    file('cover.png'),
    '-map',
    '0',
    '-map',
    '1',
    '-c',
    'copy',
    '-disposition:v',
    'attached_pic',
    upload,
  );

  assert.equal((await findSoundTrack(upload, signal)).codec, 'flac');
  const seen = async (options: readonly string[]) =>
    (await run('ffprobe', ['-v', 'quiet', '-show_entries', 'stream=width', '-of', 'csv=p=0', ...options, upload]))
      .stdout;
  assert.match(await seen([]), new RegExp(String(side)), 'ffprobe unfolds it when it is not told otherwise');
  assert.doesNotMatch(await seen(UPLOAD_GUARDS), new RegExp(String(side)));
});

it('no call of ffmpeg opens an address, or what a file names', async () => {
  const list = 'ffconcat version 1.0\nfile http://127.0.0.1:9/x.mp4\n';
  const [playlist, concat] = [file('playlist.mp4'), file('list.ffconcat')];
  await writeFile(playlist, '#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n');
  await writeFile(concat, list);
  await assert.rejects(checkedPendingVideo({ folder: '', video: playlist, frameLimit: undefined, format: 'jpg' }), {
    code: 'model_unusable',
  });
  await assert.rejects(probe('http://127.0.0.1:9/x.wav', []), { code: 'audio_unreadable' });
  const limits = { signal, timeoutMs: 10_000 };
  for (const [source, options] of [
    ['http://127.0.0.1:9/x.mp4', []],
    [concat, ['-f', 'concat', '-safe', '0']],
  ] as const) {
    const command = { inputs: [{ source, options }], outputOptions: ['-c', 'copy'], outputPath: file('out.mp4') };
    await assert.rejects(runFfmpeg(command, limits), /not on whitelist|Protocol/i);
  }
});

it('a program gets its limits before it runs, and cannot lift them', {
  skip: process.platform !== 'linux',
}, async () => {
  const { command, args } = confined('/bin/cat', ['/proc/self/limits'], 5000);
  const { stdout } = await run(command, args);
  const limitOf = (name: string) => new RegExp(`^${name} +(\\w+) +(\\w+)`, 'm').exec(stdout)?.slice(1, 3);
  const seconds = limitOf('Max cpu time')?.map(Number) ?? [];
  assert.ok(
    seconds.every((value) => value >= 5 && value <= 5 * 1024),
    `${seconds}`,
  );
  assert.deepEqual(limitOf('Max data size'), [String(MOST_TOOL_BYTES), String(MOST_TOOL_BYTES)]);
  assert.deepEqual(limitOf('Max core file size'), ['0', '0']);
});

it('a program keeps limits that are lower already, and its words as they are', async () => {
  const { command, args } = confined('printf', ['%s|', "a 'b' $c", '', '*'], 5000);
  const lowered = await run(command, ['-c', 'ulimit -d 500000; exec "$@"', 'sh', command, ...args]);
  assert.equal(lowered.stdout, "a 'b' $c||*|");
});

/** A square of one colour, in a file that is a thousand times smaller than its pixels. */
function blankPng(side: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  // 8 bits of grey.
  header[8] = 8;
  const rows = deflateSync(Buffer.alloc(side * (side + 1)), { level: 1 });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))]);
}
