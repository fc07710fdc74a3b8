import path from 'node:path';
import type { RenderView } from '../../shared/views/render-view.ts';
import { FarmClient } from '../farm-client.ts';
import type { Audio, SubmitOptions } from '../requests.ts';
import { openInput, writeWhole } from './files.ts';

/** A farm, for programs with a disk: sounds may be named by their paths, and videos go into files. */
export class NodeFarmClient extends FarmClient {
  /** Takes the path of a sound as well. FarmError: input_unreadable, audio_empty. */
  override async submit(audio: Audio | string, options: SubmitOptions = {}): Promise<RenderView> {
    if (typeof audio !== 'string') return await super.submit(audio, options);
    return await super.submit(await openInput(audio), { fileName: path.basename(audio), ...options });
  }

  override async frame(renderId: string, frameIndex: number): Promise<Buffer> {
    return Buffer.from(await super.frame(renderId, frameIndex));
  }

  /** Fetches the video. `targetPath` is there when all of it is, and not before. FarmError('output_unwritable'). */
  async saveVideo(renderId: string, targetPath: string, signal?: AbortSignal): Promise<void> {
    await writeWhole(targetPath, this.video(renderId, signal));
  }
}
