import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../redis.ts';

/** The input of a live job. It is too large for job data, is read once, and is useless a minute later. */
export interface LivePayload {
  /** 16 kHz mono float32 sound, little-endian; empty when features are given instead. */
  readonly audio: Buffer;
  /** [frames, 6, S, S] float32, little-endian, instead of the avatar's own pictures; empty: the avatar's own. */
  readonly visualFrames: Buffer;
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
  const { audio, visualFrames, audioFeatures } = payload;
  await redis.multi().hset(key, { audio, visualFrames, audioFeatures }).expire(key, LIVE_KEYS_LIFETIME_S).exec();
}

/** Undefined when it was removed, because the request was given up. */
export async function readLivePayload(redis: Redis, requestId: string): Promise<LivePayload | undefined> {
  const names = ['audio', 'visualFrames', 'audioFeatures'] as const;
  const [audio, visualFrames, audioFeatures] = await redis.hmgetBuffer(livePayloadKey(requestId), ...names);
  return audio && visualFrames && audioFeatures ? { audio, visualFrames, audioFeatures } : undefined;
}
