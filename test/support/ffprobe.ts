import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface VideoFacts {
  readonly video: Record<string, string>;
  readonly audio: Record<string, string>;
  /** Presentation times of the video packets in seconds. */
  readonly videoTimes: readonly number[];
  readonly audioPackets: number;
}

/** What an independent tool says of a video file. */
export async function inspectVideo(file: string): Promise<VideoFacts> {
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-of', 'json', '-show_streams', '-show_entries', 'packet=stream_index,pts_time'],
    ...['-count_packets', file],
  ]);
  const { streams, packets } = JSON.parse(stdout) as {
    streams: Record<string, string>[];
    packets: { stream_index: number; pts_time: string }[];
  };
  const video = streams.find(({ codec_type }) => codec_type === 'video') ?? {};
  const audio = streams.find(({ codec_type }) => codec_type === 'audio') ?? {};
  const ofStream = (stream: Record<string, string>) =>
    packets.filter(({ stream_index }) => stream_index === Number(stream.index));
  return {
    video,
    audio,
    videoTimes: ofStream(video).map(({ pts_time }) => Number(pts_time)),
    audioPackets: ofStream(audio).length,
  };
}

/** Names of an MP4's top-level boxes, in order. */
export async function topLevelBoxes(file: string): Promise<string[]> {
  const names: string[] = [];
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const header = Buffer.alloc(8);
    for (let position = 0; position < size; position += header.readUInt32BE(0)) {
      await handle.read(header, 0, 8, position);
      names.push(header.toString('latin1', 4, 8));
    }
  } finally {
    await handle.close();
  }
  return names;
}

/** Every frame of a video as interleaved RGB. */
export async function decodeFrames(file: string, width: number, height: number): Promise<Uint8Array[]> {
  const frameBytes = width * height * 3;
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'], {
    encoding: 'buffer',
    maxBuffer: 2 ** 31 - 1,
  });
  return Array.from({ length: stdout.length / frameBytes }, (_, index) =>
    stdout.subarray(index * frameBytes, (index + 1) * frameBytes),
  );
}

/** The sound of a video as mono at 16 kHz. */
export async function decodeSound(file: string): Promise<Float32Array> {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-ac', '1', '-ar', '16000', '-f', 'f32le', '-'], {
    encoding: 'buffer',
    maxBuffer: 2 ** 31 - 1,
  });
  return new Float32Array(new Uint8Array(stdout).buffer);
}
