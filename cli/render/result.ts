import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { checkOutput, type OutputRules } from '../../client/node/files.ts';
import { type Patience, patiently } from '../../client/patience.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { ifMissing } from '../../shared/process/unheard.ts';
import { formOf, isVideo, type Output } from '../../shared/renders/outputs.ts';
import type { RenderView } from '../../shared/views/render-view.ts';

/** What comes back of a render: a video, or a folder of frames. */

/** "a/voice.mp3" → "voice.mp4", or "voice-frames". */
export function resultNameOf(fileName: string, output: Output): string {
  const { name } = path.parse(fileName);
  return isVideo(output) ? `${name}.${formOf(output).extension}` : `${name}-frames`;
}

/** That the result can be put there. FarmError: output_unwritable, output_exists. */
export async function checkResult(target: string, output: Output, rules: OutputRules): Promise<void> {
  if (isVideo(output)) return await checkOutput(target, rules);
  const there = await readdir(target)
    .catch(ifMissing())
    .catch((error: Error) => {
      throw new FarmError('output_unwritable', `${target} cannot be a folder of frames: ${error.message}`);
    });
  if (there && there.length > 0 && !rules.overwrite) throw new FarmError('output_exists', `${target} has files in it`);
}

/** Fetches it. A video is there when all of it is; frames come one by one. FarmError: as of checkResult. */
export async function fetchResult(
  client: NodeFarmClient,
  { id, output }: RenderView,
  target: string,
  { signal, ...patience }: Patience,
): Promise<void> {
  const way = { ...patience, ...(signal ? { signal } : {}) };
  if (isVideo(output)) return await patiently(() => client.saveVideo(id, target, signal), way);
  await mkdir(target, { recursive: true }).catch((error: Error) => {
    throw new FarmError('output_unwritable', `${target} cannot be made: ${error.message}`, { cause: error });
  });
  await patiently(() => client.saveFrames(id, target, signal), way);
}
