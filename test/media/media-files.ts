import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';

/** Media files that ffmpeg draws and hums itself, and what ffprobe says of the farm's own. */

const run = promisify(execFile);

/** A folder for one test file; gone after its last test. */
export function privateFolder(): (name: string) => string {
  const folder = mkdtempSync(path.join(tmpdir(), 'farm-test-media-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return (name) => path.join(folder, name);
}

export async function ffmpeg(...args: string[]): Promise<void> {
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args]);
}

/** Input options of a sound that is made as it is read, such as `sine=frequency=440:duration=2`. */
export function lavfi(graph: string): string[] {
  return ['-f', 'lavfi', '-i', graph];
}

export interface Packet {
  readonly ptsS: number;
  readonly durationS: number;
  readonly isKey: boolean;
}

export interface Track {
  readonly kind: string;
  readonly codec: string;
  readonly durationS: number;
  readonly frameCount: number;
  readonly channels: number | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly pixelFormat: string | undefined;
  readonly frameRate: string;
  readonly packets: readonly Packet[];
}

/** The tracks of a file with all their packets. */
export async function readTracks(file: string): Promise<Track[]> {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_streams', '-show_packets', '-of', 'json', file], {
    maxBuffer: 2 ** 26,
  });
  const { streams, packets } = JSON.parse(stdout) as Record<'streams' | 'packets', Record<string, string>[]>;
  return streams.map((stream) => ({
    kind: stream.codec_type ?? '',
    codec: stream.codec_name ?? '',
    durationS: Number(stream.duration),
    frameCount: Number(stream.nb_frames),
    channels: stream.channels === undefined ? undefined : Number(stream.channels),
    width: stream.width === undefined ? undefined : Number(stream.width),
    height: stream.height === undefined ? undefined : Number(stream.height),
    pixelFormat: stream.pix_fmt,
    frameRate: stream.r_frame_rate ?? '',
    packets: packets
      .filter((packet) => packet.stream_index === stream.index)
      .map((packet) => ({
        ptsS: Number(packet.pts_time),
        durationS: Number(packet.duration_time),
        isKey: packet.flags?.startsWith('K') ?? false,
      })),
  }));
}

export async function trackOf(file: string, kind: 'video' | 'audio'): Promise<Track> {
  const track = (await readTracks(file)).find((candidate) => candidate.kind === kind);
  if (!track) throw new Error(`${file} has no ${kind}`);
  return track;
}

/** Names of an MP4's boxes, in their order in the file. */
export async function boxesOf(file: string): Promise<string[]> {
  const bytes = await readFile(file);
  const names: string[] = [];
  for (let at = 0; at + 8 <= bytes.length; at += Math.max(8, bytes.readUInt32BE(at))) {
    names.push(bytes.toString('latin1', at + 4, at + 8));
  }
  return names;
}

/** A headerless float32 file. */
export async function readSamples(file: string): Promise<Float32Array> {
  const bytes = await readFile(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** Index of the loudest sample. */
export function loudest(samples: Float32Array): number {
  let at = 0;
  samples.forEach((sample, index) => {
    if (Math.abs(sample) > Math.abs(samples[at] ?? 0)) at = index;
  });
  return at;
}

export function rms(samples: Float32Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}
