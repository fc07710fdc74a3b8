import type { Redis } from 'ioredis';
import { FarmError } from '../errors.ts';
import { KEY_PREFIX } from '../redis.ts';
import { isVisualForm, type VisualForm } from './visual-frames.ts';

/** The input of a live job. It is too large for job data, is read once, and is useless a minute later. */
export interface LivePayload {
  /** 16 kHz mono float32 sound, little-endian; empty when features are given instead. */
  readonly audio: Buffer;
  /** Visual inputs of the frames instead of the avatar's own pictures, as `visualForm` says; empty: the avatar's own. */
  readonly visualFrames: Buffer;
  /** Front ends of earlier versions write none, and send floats. */
  readonly visualForm: VisualForm;
  /** [32, 16, 16] float32, little-endian, the audio input of every frame; empty: computed from the sound. */
  readonly audioFeatures: Buffer;
}

/** Keys of a request expire after this time if its front end dies; a living front end renews them. */
export const LIVE_KEYS_LIFETIME_S = 120;

export const livePayloadKey = (requestId: string) => `${KEY_PREFIX}:live:${requestId}:in`;

/** Exists while a worker is at work on the request; renewed every second. */
export const liveAliveKey = (requestId: string) => `${KEY_PREFIX}:live:${requestId}:alive`;

export async function saveLivePayload(redis: Redis, requestId: string, payload: LivePayload): Promise<void> {
  const key = livePayloadKey(requestId);
  await redis.multi().hset(key, payload).expire(key, LIVE_KEYS_LIFETIME_S).exec();
}

/**
 * Undefined when it was removed, because the request was given up.
 * @throws FarmError `internal` for visual inputs in a form that this version does not know.
 */
export async function readLivePayload(redis: Redis, requestId: string): Promise<LivePayload | undefined> {
  const names = ['audio', 'visualFrames', 'audioFeatures', 'visualForm'] as const;
  const [audio, visualFrames, audioFeatures, form] = await redis.hmgetBuffer(livePayloadKey(requestId), ...names);
  if (!audio || !visualFrames || !audioFeatures) return undefined;
  const visualForm = form?.toString() ?? 'floats';
  if (isVisualForm(visualForm)) return { audio, visualFrames, audioFeatures, visualForm };
  throw new FarmError('internal', `The visual inputs of request ${requestId} have the unknown form "${visualForm}"`);
}
