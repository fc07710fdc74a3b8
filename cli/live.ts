import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { LiveFrame, LiveMessage } from '../client/live-messages.ts';
import type { LiveSession } from '../client/live-session.ts';
import { checkInput } from '../client/node/files.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { toolEnvironment } from '../shared/process/environment.ts';
import type { FrameRate } from '../shared/sound/frame-rate.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';

export interface LiveCommandOptions extends FarmOptions {
  readonly model?: string;
  readonly out?: string | undefined;
  readonly mjpeg?: boolean;
  readonly raw?: boolean;
  readonly low?: boolean;
  /** Frames a second. */
  readonly fps?: FrameRate;
  readonly json?: boolean;
}

const SAMPLE_RATE_HZ = 16_000;

interface Summary {
  readonly frames: number;
  /** Until the first frame, from when the session was open. */
  readonly first_frame_ms: number | null;
  readonly seconds: number;
  readonly frames_per_second: number;
}

/**
 * `farm live AUDIO`: streams a sound to the farm, as fast as it takes it, and puts the frames into a folder or on standard
 * output as they come. FarmError: input_unreadable, output_unwritable, dependency_missing, audio_unreadable.
 */
export async function live(audioPath: string, options: LiveCommandOptions): Promise<void> {
  if (audioPath !== '-') await checkInput(audioPath);
  const take = await takerOf(options);
  const client = openFarm(options);
  await client.greet();
  const session = await client.live({
    ...(options.model ? { modelId: options.model } : {}),
    ...(options.fps ? { fps: options.fps } : {}),
    sampleRate: SAMPLE_RATE_HZ,
    sampleFormat: 'F32LE',
    output: options.raw ? 'RAW' : 'JPEG',
    latency: options.low ? 'LOW' : 'EXACT',
  });
  const stop = new AbortController();
  const sending = sendSound(audioPath, session, stop.signal).catch((error: unknown) => {
    session.close();
    throw error;
  });
  const receiving = receive(session, take).catch((error: unknown) => {
    stop.abort();
    throw error;
  });
  const [summary] = await Promise.all([receiving, sending]);
  if (options.json) {
    (options.mjpeg || options.raw ? process.stderr : process.stdout).write(`${JSON.stringify(summary)}\n`);
    return;
  }
  const first = summary.first_frame_ms === null ? '' : `, the first after ${Math.round(summary.first_frame_ms)} ms`;
  const speed = `${summary.frames_per_second.toFixed(1)} frames/s`;
  const where = options.mjpeg || options.raw ? '' : ` → ${folderOf(options)}`;
  process.stderr.write(`${summary.frames} frames in ${summary.seconds.toFixed(1)} s (${speed})${first}${where}\n`);
}

async function receive(session: LiveSession, take: (frame: LiveFrame) => Promise<void>): Promise<Summary> {
  const beganMs = performance.now();
  let firstMs: number | null = null;
  let frames = 0;
  for await (const message of session as AsyncIterable<LiveMessage>) {
    if (message.type !== 'frame') continue;
    firstMs ??= performance.now() - beganMs;
    frames++;
    await take(message);
  }
  const seconds = (performance.now() - beganMs) / 1000;
  return { frames, first_frame_ms: firstMs, seconds, frames_per_second: frames / seconds };
}

function folderOf({ out }: Pick<LiveCommandOptions, 'out'>): string {
  return path.resolve(out ?? 'frames');
}

/** What becomes of each frame. */
async function takerOf({ out, mjpeg, raw }: LiveCommandOptions): Promise<(frame: LiveFrame) => Promise<void>> {
  if (mjpeg || raw) {
    return async ({ data }) => {
      if (!process.stdout.write(data)) await once(process.stdout, 'drain');
    };
  }
  const folder = folderOf({ out });
  const unwritable = (error: Error) => {
    throw new FarmError('output_unwritable', `${folder} cannot be written: ${error.message}`, { cause: error });
  };
  await mkdir(folder, { recursive: true }).catch(unwritable);
  return async ({ index, data }) => {
    const name = `${String(index).padStart(6, '0')}.jpg`;
    await writeFile(path.join(folder, name), data).catch(unwritable);
  };
}

/** Has ffmpeg decode the sound, and sends it while it comes. */
async function sendSound(audioPath: string, session: LiveSession, signal: AbortSignal): Promise<void> {
  const input = audioPath === '-' ? 'pipe:0' : `file:${audioPath}`;
  const form = ['-f', 'f32le', '-ac', '1', '-ar', String(SAMPLE_RATE_HZ), 'pipe:1'];
  const ffmpeg = spawn('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-i', input, ...form], {
    stdio: [audioPath === '-' ? 'inherit' : 'ignore', 'pipe', 'pipe'],
    env: toolEnvironment(),
    signal,
  });
  let complaint = '';
  ffmpeg.stderr?.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, 1000);
  });
  const ended = once(ffmpeg, 'close').catch((error: Error) => {
    throw new FarmError('dependency_missing', `ffmpeg cannot be started: ${error.message}`, { cause: error });
  });
  const sent = (async () => {
    for await (const chunk of ffmpeg.stdout ?? []) await session.send(chunk as Buffer);
  })();
  const [[exitCode]] = await Promise.all([ended, sent]);
  if (exitCode !== 0) {
    throw new FarmError('audio_unreadable', `ffmpeg cannot read ${audioPath}: ${complaint.trim()}`);
  }
  session.end();
}
