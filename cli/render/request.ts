import path from 'node:path';
import { checkInput } from '../../client/node/files.ts';
import { footageOf } from '../../client/node/footage.ts';
import type { SubmitOptions } from '../../client/requests.ts';
import type { BackgroundMode } from '../../shared/background-mode.ts';
import type { WebhookEventName } from '../../shared/renders/events.ts';
import type { SyncMode } from '../../shared/renders/footage.ts';
import type { Output } from '../../shared/renders/outputs.ts';
import type { RenderPriority } from '../../shared/renders/record.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { FarmOptions } from '../farm-address.ts';

/** What `farm render` was asked for, and what it asks the farm for. */

export interface RenderCommandOptions extends FarmOptions {
  readonly model?: string;
  readonly output?: Output;
  readonly startFrame?: number;
  readonly background?: BackgroundMode;
  readonly fromNeutral?: boolean;
  readonly silenceGate?: 'on' | 'off';
  /** False after --no-cache. */
  readonly cache?: boolean;
  /** Own footage, and where the mouth is in it. */
  readonly video?: string;
  readonly landmarks?: string;
  readonly syncMode?: SyncMode;
  /** Frames a second. */
  readonly fps?: FrameRate;
  /** Milliseconds of silence before and after the sound. */
  readonly lead?: number;
  readonly tail?: number;
  readonly jpegQuality?: number;
  readonly label?: Readonly<Record<string, string>>;
  readonly priority?: RenderPriority;
  /** Frames [from, to) of the sound. */
  readonly from?: number;
  readonly to?: number;
  readonly webhook?: string;
  readonly webhookEvents?: readonly WebhookEventName[];
  readonly idempotencyKey?: string;
  readonly out?: string;
  readonly outDir?: string;
  readonly parallel: number;
  readonly json?: boolean;
  readonly force?: boolean;
  readonly resume?: string;
  /** Seconds to try again while the farm does not answer. */
  readonly patience: number;
}

/** A sound as the command line names it: a file of this machine, or the address from which the farm fetches it. */
export interface Sound {
  readonly text: string;
  readonly audio: string | URL;
  /** Without its folders: "voice.mp3". */
  readonly fileName: string;
}

export function soundOf(text: string): Sound {
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (!url) return { text, audio: text, fileName: path.basename(text) };
  return { text, audio: url, fileName: path.posix.basename(withoutEscapes(url.pathname)) || 'audio' };
}

function withoutEscapes(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname; // A percent sign that stands for itself.
  }
}

/** What is sent from here must be there; FarmError: input_unreadable, audio_empty. The farm looks at addresses itself. */
export async function checkSound({ audio }: Sound): Promise<void> {
  if (typeof audio === 'string') await checkInput(audio);
}

/** What the options say about a render, with the video that they name. FarmError: input_unreadable, audio_empty. */
export async function requestWithFootage(options: RenderCommandOptions): Promise<SubmitOptions> {
  const { video, landmarks, syncMode } = options;
  const request = requestOf(options);
  if (video === undefined || landmarks === undefined) return request;
  return { ...request, footage: await footageOf(video, landmarks, syncMode) };
}

/** The form that is asked for: as the options say, or as the name of the file does. */
export function outputOf({ output, out }: Pick<RenderCommandOptions, 'output' | 'out'>): Output {
  return output ?? (out?.toLowerCase().endsWith('.webm') ? 'webm' : 'mp4');
}

/** What the options say about a render. */
export function requestOf(options: RenderCommandOptions): SubmitOptions {
  const { model, startFrame, jpegQuality, label, priority, from, to } = options;
  const { background, silenceGate, fromNeutral, fps, lead, tail, webhook, webhookEvents } = options;
  return {
    ...(model ? { modelId: model } : {}),
    output: outputOf(options),
    ...(startFrame === undefined ? {} : { startFrame }),
    ...(background ? { backgroundMode: background } : {}),
    ...(silenceGate ? { silenceGate: silenceGate === 'on' } : {}),
    ...(options.cache === false ? { cache: false } : {}),
    ...(fromNeutral ? { fromNeutral } : {}),
    ...(fps === undefined ? {} : { fps }),
    ...(lead === undefined ? {} : { audioLeadMs: lead }),
    ...(tail === undefined ? {} : { audioTailMs: tail }),
    ...(jpegQuality === undefined ? {} : { jpegQuality }),
    ...(label ? { labels: label } : {}),
    ...(priority ? { priority } : {}),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(webhook ? { webhookUrl: webhook } : {}),
    ...(webhookEvents ? { webhookEvents } : {}),
  };
}
