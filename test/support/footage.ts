import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A video for tests of own footage: of one colour, brighter frame by frame, and a face that runs to the right. */

export const FOOTAGE_SIZE = { width: 96, height: 80 } as const;
/** Frames of the video, at 25 a second. */
export const FOOTAGE_FRAMES = 12;
const FIRST_GREY = 60;
const GREY_STEP = 8;
const FACE = { side: 40, top: 20 } as const;

export type Corners = readonly [x1: number, y1: number, x2: number, y2: number];

/** Where the face is in a frame. */
export function faceIn(frame: number): Corners {
  return [8 + frame, FACE.top, 8 + frame + FACE.side, FACE.top + FACE.side];
}

/** What a frame is filled with. */
export function greyOf(frame: number): number {
  return FIRST_GREY + GREY_STEP * frame;
}

/** The frame that is filled with this. */
export function frameOfGrey(grey: number): number {
  return Math.round((grey - FIRST_GREY) / GREY_STEP);
}

export interface FootageFiles {
  readonly video: string;
  readonly rects: string;
  /** A folder of `.lms` files, which give the same rects. */
  readonly landmarks: string;
}

/** Writes the video, and where the face is in it, into a folder. */
export async function writeFootage(folder: string): Promise<FootageFiles> {
  const { width, height } = FOOTAGE_SIZE;
  const [raw, video, rects, landmarks] = ['me.raw', 'me.mp4', 'rects.json', 'landmarks'].map((name) =>
    path.join(folder, name),
  ) as [string, string, string, string];
  const frames = Array.from({ length: FOOTAGE_FRAMES }, (_, frame) => frame);
  await writeFile(raw, Buffer.concat(frames.map((frame) => Buffer.alloc(width * height * 3, greyOf(frame)))));
  const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-r', '25', '-i', raw];
  const encoder = ['-c:v', 'libx264', '-crf', '4', '-pix_fmt', 'yuv420p'];
  await run('ffmpeg', ['-v', 'error', '-y', ...input, ...encoder, video]);
  await writeFile(rects, JSON.stringify(frames.map(faceIn)));
  await mkdir(landmarks, { recursive: true });
  for (const frame of frames) await writeFile(path.join(landmarks, `${frame}.lms`), landmarksOf(faceIn(frame)));
  return { video, rects, landmarks };
}

/** Landmarks of which 1, 31 and 52 bound the face; the others are of no use to a crop rect. */
function landmarksOf([x1, y1, x2]: Corners): string {
  const points = Array.from({ length: 110 }, () => [x1 + 0.7, y1 + 0.7]);
  points[31] = [x2 + 0.7, y1 + 0.7];
  return points.map((point) => point.join(' ')).join('\n');
}
