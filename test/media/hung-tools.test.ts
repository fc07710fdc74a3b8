import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { type FfmpegCommand, runFfmpeg } from '../../worker/tools/ffmpeg.ts';
import { FfmpegFeed } from '../../worker/tools/ffmpeg-feed.ts';
import { until } from '../support/until.ts';
import { privateFolder } from './media-files.ts';

const file = privateFolder();
/** A busy machine may take seconds to start a program. */
const SILENT_MS = 4000;
const LIMITS = { signal: new AbortController().signal, timeoutMs: 60_000, silentMs: SILENT_MS };
const HUNG = { code: 'tool_failed', message: /made no progress for 4 s and was ended/ };
const onLinux = { skip: process.platform !== 'linux' };

/** Runs for an hour, in real time, and writes from its first moment on. */
const endless = (outputPath: string): FfmpegCommand => ({
  inputs: [{ source: 'anullsrc=r=8000:d=3600', options: ['-re', '-f', 'lavfi'] }],
  outputOptions: ['-c:a', 'pcm_f32le', '-flush_packets', '1', '-f', 'f32le'],
  outputPath,
});

async function pidWith(text: string): Promise<number | undefined> {
  for (const pid of (await readdir('/proc')).map(Number).filter((id) => id > 0 && id !== process.pid)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(text)) return pid;
  }
  return undefined;
}

describe('a tool that hangs', { concurrency: true }, () => {
  it('is ended when nothing more can be seen of it, however it hangs', onLinux, async () => {
    const output = file('stopped.f32');
    const running = runFfmpeg(endless(output), LIMITS);
    running.catch(() => {});
    await until('it writes', async () => ((await stat(output).catch(() => undefined))?.size ?? 0) > 0);
    process.kill((await pidWith(output)) as number, 'SIGSTOP');
    await assert.rejects(running, HUNG);
    assert.equal(await pidWith(output), undefined);
  });

  it('is not waited for when what it has started itself holds its output open', async () => {
    const path = process.env.PATH;
    after(() => {
      process.env.PATH = path;
    });
    await mkdir(file('bin'));
    await writeFile(file('bin/ffprobe'), '#!/bin/sh\nsleep 20\n');
    await chmod(file('bin/ffprobe'), 0o755);
    process.env.PATH = `${file('bin')}:${path}`;
    const read = async () => {
      for await (const _ of outputOf('ffprobe', [file('sound.wav')], LIMITS));
    };
    await assert.rejects(read(), HUNG);
  });

  it('is ended when it takes nothing more of what we send it', onLinux, async () => {
    const output = file('full.u8');
    const inputOptions = ['-f', 'u8', '-ar', '8000', '-ac', '1'];
    const feed = new FfmpegFeed({ inputOptions, outputOptions: ['-f', 'u8'], outputPath: output }, LIMITS);
    await feed.write(Buffer.alloc(1000));
    process.kill((await pidWith(output)) as number, 'SIGSTOP');
    await assert.rejects(feed.write(Buffer.alloc(4_000_000)), HUNG);
    await assert.rejects(feed.end(), HUNG);
  });

  it('is told from one that waits for what we send it', async () => {
    const inputOptions = ['-f', 'f32le', '-ar', '8000', '-ac', '1'];
    const command = { inputOptions, outputOptions: ['-f', 'f32le'], outputPath: file('waiting.f32') };
    const feed = new FfmpegFeed(command, LIMITS);
    await feed.write(Buffer.alloc(4));
    await delay(1.5 * SILENT_MS);
    await feed.write(Buffer.alloc(4));
    await feed.end();
    assert.equal((await stat(file('waiting.f32'))).size, 8);
  });
});
