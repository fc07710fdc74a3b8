import path from 'node:path';
import { FarmClient } from '../client/farm-client.ts';
import { FarmError } from '../shared/errors.ts';
import { showProgress, timingsTable } from './progress.ts';

export interface RenderCommandOptions {
  readonly url: string;
  readonly model?: string;
  readonly out?: string;
  readonly apiKey?: string;
}

/** `farm render AUDIO`: submits, shows progress, fetches the video. */
export async function render(audioPath: string, { url, model, out, apiKey }: RenderCommandOptions): Promise<void> {
  const client = new FarmClient(url, apiKey);
  const { id } = await client.submit(audioPath, model ? { modelId: model } : {});
  const last = await showProgress(client.watch(id));
  if (last.error) throw FarmError.fromReport(last.error);
  if (last.status === 'cancelled') throw new FarmError('render_cancelled', `Render ${id} was cancelled`);
  const videoPath = path.resolve(out ?? `${path.parse(audioPath).name}.mp4`);
  await client.saveVideo(id, videoPath);
  process.stdout.write(`\n${timingsTable(last)}\n\n${videoPath}\n`);
}
