import path from 'node:path';
import { formOf } from '../../shared/renders/outputs.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { FarmClient } from '../farm-client.ts';
import type { Audio, SubmitOptions } from '../requests.ts';
import { openInput, writeWhole } from './files.ts';

const FRAMES_AT_ONCE = 4;

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

  /**
   * Fetches the frames of a completed render to frames into a folder that is there, as `000000.jpg` or `.png` and so on; each
   * appears when all of it is there. FarmError('output_unwritable').
   */
  async saveFrames(renderId: string, folder: string, signal?: AbortSignal): Promise<void> {
    const { frames, range, output } = await this.receipt(renderId);
    const first = range?.from ?? 0;
    let next = first;
    const line = async () => {
      while (next < first + frames) {
        signal?.throwIfAborted();
        const index = next++;
        const picture = await this.frame(renderId, index);
        const name = `${String(index).padStart(6, '0')}.${formOf(output).extension}`;
        await writeWhole(path.join(folder, name), [picture]);
      }
    };
    await Promise.all(Array.from({ length: FRAMES_AT_ONCE }, line));
  }
}
