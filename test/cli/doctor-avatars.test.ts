import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import sharp from 'sharp';
import { writeVideo } from '../avatar/videos.ts';
import { runCli } from '../support/run-cli.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';

let folder = '';
before(async () => {
  await buildSmallAvatar();
  folder = await mkdtemp(path.join(tmpdir(), 'farm-test-doctor-'));
});
after(async () => await rm(folder, { recursive: true, force: true }));

/** Uses a configuration as an editor on Windows leaves it. */
async function doctor(yaml: string): Promise<string> {
  const configPath = path.join(folder, 'config.yaml');
  await writeFile(configPath, `\uFEFF${yaml.replaceAll('\n', '\r\n')}`, 'utf16le');
  const run = runCli('doctor', '--config', configPath);
  await run.exited;
  return run.output();
}

test('farm doctor sees pictures upright, reads rects in UTF-16, and names tags that are lacking and videos that are not whole', async () => {
  await mkdir(path.join(folder, 'side'));
  const lying = sharp({ create: { width: 160, height: 96, channels: 3, background: '#345' } });
  await lying
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toFile(path.join(folder, 'side', '0.jpg'));
  await writeFile(path.join(folder, 'side.json'), '\uFEFF[[8, 60, 88, 140]]\r\n', 'utf16le');
  for (const name of ['cut.mkv', 'recording.mp4']) {
    const video = await writeVideo(path.join(folder, name), { frames: 10 });
    const whole = await readFile(video);
    const end = name === 'cut.mkv' ? whole.length / 2 : whole.indexOf('moov') - 4;
    await writeFile(video, whole.subarray(0, end));
  }
  const filesBefore = await readdir(folder);
  const output = await doctor(
    [
      ...['x-small: &small', `  model_path: ${SMALL_MODEL.model_path}`],
      ...[`  audio_encoder_path: ${SMALL_MODEL.audio_encoder_path}`, '  crop_rects_path: side.json'],
      ...[
        'models:',
        '  side: {<<: *small, background_dir: side, needs: [a100, big]}',
        '  cut: {<<: *small, source_video: cut.mkv}',
      ],
      ...['  recording: {<<: *small, source_video: recording.mp4, needs: [big]}', 'host: {tags: [big]}', ''],
    ].join('\n'),
  );
  assert.match(output, /✓ model side +1 frames of 96×160, network 160²/);
  assert.match(output, /✗ model cut +the video .*cut\.mkv is not whole: it was cut off: it has \d+ bytes of \d+; copy/);
  assert.match(output, /✗ model recording +the video .*recording\.mp4 is not whole: it has no index/);
  assert.match(output, /– tags of side +this host lacks a100 of the tags that it needs: a100, big\n +→ start a worker/);
  assert.match(output, /✓ tags of recording +this host has the tags that it needs: big\n/);
  assert.deepEqual((await readdir(folder)).sort(), [...filesBefore, 'config.yaml', 'data'].sort());
});
