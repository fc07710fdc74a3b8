import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { withMode } from '../../shared/background-mode.ts';
import { hasIdleClip, type ModelConfig } from '../../shared/config/model-config.ts';
import { frameRateOf } from '../../shared/config/model-hearing.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Footage, SyncMode } from '../../shared/renders/footage.ts';
import type { RenderPriority, RenderRequest } from '../../shared/renders/record.ts';
import { withFrameRate } from '../../shared/sound/frame-rate.ts';
import type { WantedWebhook } from '../webhooks.ts';

/** What is asked for with a render, in the form that its record keeps, so that the same request is known again. */

/** What a caller chooses about a render; the rest of the request is known once the upload has been read. */
export type RenderOptions = Pick<
  RenderRequest,
  | ('modelId' | 'output' | 'startFrameIndex' | 'jpegQuality' | 'labels' | 'priority' | 'range')
  | ('backgroundMode' | 'fromNeutral' | 'audioLeadMs' | 'audioTailMs' | 'frameRate' | 'cache')
> & {
  /** Whether the mouth is closed and still in silence; absent: as the model says. */
  readonly silenceGate?: boolean;
  /** Absent: as the configuration says, if it does. */
  readonly webhook?: WantedWebhook;
  /** Of footage; absent: cut. */
  readonly syncMode?: SyncMode;
};

/** Labels as a request keeps them: in one order, so that the same request is known again, and none when there are none. */
export function withLabels(labels: Readonly<Record<string, string>>): Pick<RenderOptions, 'labels'> {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.length > 0 ? { labels: Object.fromEntries(sorted) } : {};
}

/** The priority as a request keeps it: a normal one is not written, so that the same request is known again. */
export function withPriority(priority: RenderPriority): Pick<RenderOptions, 'priority'> {
  return priority === 'normal' ? {} : { priority };
}

/** FarmError('request_invalid') for a range that holds no frame. @param to 0 or absent: to the end. */
export function withRange(from = 0, to = 0): Pick<RenderOptions, 'range'> {
  if (from === 0 && to === 0) return {};
  if (to !== 0 && to <= from) throw new FarmError('request_invalid', `to: got ${to}, expected more than from, ${from}`);
  return { range: to === 0 ? { from } : { from, to } };
}

/** Silence around the sound, in ms, as a request keeps it: none is not written. */
export function withSilence(leadMs: number, tailMs: number): Pick<RenderOptions, 'audioLeadMs' | 'audioTailMs'> {
  return { ...(leadMs > 0 ? { audioLeadMs: leadMs } : {}), ...(tailMs > 0 ? { audioTailMs: tailMs } : {}) };
}

/** An upload that lies in the store under the id of the render it is for. */
export type StoredUpload = Pick<RenderRequest, 'fileName' | 'uploadBytes' | 'uploadSha256'> & {
  readonly renderId: string;
  /** Whether it is kept when the render is refused. */
  readonly stays?: boolean;
  /** Where a video came with the sound; `uploadBytes` counts it too. */
  readonly footage?: Omit<Footage, 'syncMode'>;
};

/** One file of an upload. */
export interface StoredFile {
  readonly fileName: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * The request as its record keeps it, without the webhook.
 * @param usual the entry of its model, which says what the options leave open; absent where there is no such model.
 */
export async function requestOf(
  { renderId: _, stays: ___, footage, ...file }: StoredUpload,
  options: RenderOptions,
  usual: ModelConfig | undefined,
): Promise<RenderRequest> {
  const { webhook: __, backgroundMode, frameRate, silenceGate, syncMode = 'cut', ...chosen } = options;
  const isGated = silenceGate ?? usual?.silenceGate ?? false;
  const request = {
    ...{ ...chosen, ...file, ...withFrameRate(frameRate, usual && (await frameRateOf(usual))) },
    ...(isGated ? { silenceGate: true as const } : {}),
    ...(isGated && !footage && usual && hasIdleClip(usual) ? { idleAfterMs: usual.idleAfterMs } : {}),
  };
  if (footage) return { ...request, footage: { ...footage, syncMode } };
  return { ...request, ...withMode(backgroundMode, usual?.backgroundMode) };
}

/** True when the same sound is to be rendered in the same way, whatever the file is called. */
export function isSameRequest(one: RenderRequest, other: RenderRequest): boolean {
  return isDeepStrictEqual(sameParts(one), sameParts(other));
}

/** Equal for requests that are the same as isSameRequest says. */
export function fingerprint(request: RenderRequest): string {
  return createHash('sha256')
    .update(JSON.stringify(sameParts(request)))
    .digest('hex');
}

function sameParts({ fileName: _, webhook: __, cache: ___, footage, ...request }: RenderRequest) {
  const same = footage ? { ...request, footage: { ...footage, fileName: '' } } : request;
  return JSON.parse(JSON.stringify(same)) as unknown;
}
