import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestFarm } from './farm.ts';

/** What lies in the folder of a completed render with a video, by name. */
export const RESULT_FILES = ['contact-sheet.jpg', 'receipt.json', 'video.mp4', 'waterfall.svg', 'waveform.svg'];

/** The frames of a completed render, in order, out of the store: that costs a hundredth of a request for each. */
export async function framesOf({ folder }: Pick<TestFarm, 'folder'>, renderId: string): Promise<Buffer[]> {
  const frames = path.join(folder, 'data/renders', renderId, 'frames');
  const names = (await readdir(frames)).sort();
  return await Promise.all(names.map((name) => readFile(path.join(frames, name))));
}
