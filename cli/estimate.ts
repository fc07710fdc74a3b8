import { checkInput } from '../client/node/files.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { FrameRate } from '../shared/sound/frame-rate.ts';
import { outputOf } from '../shared/tools/tool-output.ts';
import { MINUTE_MS } from '../shared/units.ts';
import type { Estimate } from '../shared/views/estimate-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './options.ts';

export interface EstimateCommandOptions extends FarmOptions, JsonOption {
  readonly seconds?: number;
  readonly model?: string;
  readonly from?: number;
  readonly to?: number;
  /** Milliseconds of silence before and after the sound. */
  readonly lead?: number;
  readonly tail?: number;
  /** Frames a second. */
  readonly fps?: FrameRate;
}

/**
 * `farm estimate AUDIO`, or `farm estimate --seconds N`: what a render would cost; nothing is sent but the length.
 * FarmError: input_unreadable, audio_unreadable, dependency_missing, and those of the farm.
 */
export async function estimate(audio: string | undefined, options: EstimateCommandOptions): Promise<void> {
  const { seconds, model, from, to, lead, tail, fps } = options;
  const audioSeconds = seconds ?? (await lengthOf(audio ?? ''));
  const view = await openFarm(options).estimate({
    audioSeconds,
    ...(model ? { modelId: model } : {}),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(lead === undefined ? {} : { audioLeadMs: lead }),
    ...(tail === undefined ? {} : { audioTailMs: tail }),
    ...(fps === undefined ? {} : { fps }),
  });
  if (options.json) printJson(view);
  else process.stdout.write(`${describe(view)}\n`);
}

/** Seconds of a sound, as ffprobe of this machine reads them from its header. */
async function lengthOf(file: string): Promise<number> {
  await checkInput(file);
  const words = ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', '-i', `file:${file}`];
  const limits = { signal: new AbortController().signal, timeoutMs: MINUTE_MS };
  let text = '';
  try {
    for await (const piece of outputOf('ffprobe', words, limits)) text += piece;
  } catch (error) {
    if (FarmError.from(error).code !== 'encode_failed') throw error;
    throw new FarmError('audio_unreadable', `ffprobe cannot read ${file}`, { cause: error });
  }
  const seconds = Number.parseFloat(text);
  if (seconds > 0) return seconds;
  throw new FarmError('audio_unreadable', `${file} does not say how long it is; give --seconds`);
}

function describe(view: Estimate): string {
  const { model_id, frames, gpus, frames_per_second, gpu_seconds, queue_seconds, finish_seconds } = view;
  const where = `${gpus} ${gpus === 1 ? 'GPU' : 'GPUs'} can render ${model_id}`;
  if (frames_per_second === null || gpu_seconds === null) {
    return `${frames} frames; ${where}, and how fast is not known yet: farm models load ${model_id} measures it`;
  }
  const speed = `${frames_per_second.toFixed(1)} frames/s each: ${gpu_seconds.toFixed(1)} GPU seconds`;
  const waits = `begins in ${queue_seconds?.toFixed(1)} s, rendered in ${finish_seconds?.toFixed(1)} s`;
  return `${frames} frames; ${where}, at ${speed}\n${waits}, behind all that waits now; reading and joining come on top`;
}
