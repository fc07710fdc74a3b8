import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { FarmClient } from '../../client/farm-client.ts';
import type { TestFarm } from './farm.ts';

/** What lies in the folder of a completed render with a video, by name. */
export const RESULT_FILES = ['contact-sheet.jpg', 'receipt.json', 'video.mp4', 'waterfall.svg', 'waveform.svg'];

/** The frames of a completed render, in order, out of the store: that costs a hundredth of a request for each. */
export async function framesOf({ folder }: Pick<TestFarm, 'folder'>, renderId: string): Promise<Buffer[]> {
  const frames = path.join(folder, 'data/renders', renderId, 'frames');
  const names = (await readdir(frames)).sort();
  return await Promise.all(names.map((name) => readFile(path.join(frames, name))));
}

/** SHA-256 of the video of a render, as hex, once it is completed. */
export async function videoHash(client: FarmClient, renderId: string): Promise<string> {
  const { status, error } = await client.finished(renderId);
  assert.equal(status, 'completed', JSON.stringify(error));
  const hash = createHash('sha256');
  for await (const chunk of client.video(renderId)) hash.update(chunk);
  return hash.digest('hex');
}
