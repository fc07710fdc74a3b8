import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { FarmError } from '../errors/farm-error.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
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

/** Names of the parts of a payload, as it travels. */
const PARTS = ['audio', 'visualFrames', 'audioFeatures', 'visualForm'] as const;

/** Keys of a request expire after this time if its front end dies; a living front end renews them. */
export const LIVE_KEYS_LIFETIME_S = 120;
/** How often a worker looks for a payload that its front end is putting into Redis. */
const LOOK_EVERY_MS = 20;

/** Exists while the request is wanted, and holds its payload, unless the worker gets that directly. */
export const livePayloadKey = (requestId: string) => `${KEY_PREFIX}:live:${requestId}:in`;

/** Exists while a worker is at work on the request; renewed every second. */
export const liveAliveKey = (requestId: string) => `${KEY_PREFIX}:live:${requestId}:alive`;

/** The parts of a payload by their names, to travel. */
export function partsOf(payload: LivePayload): Record<string, Buffer> {
  return Object.fromEntries(
    PARTS.map((name) => [name, Buffer.isBuffer(payload[name]) ? payload[name] : Buffer.from(payload[name])]),
  );
}

/**
 * A payload that has travelled; undefined when parts of it are missing.
 * @throws FarmError `internal` for visual inputs in a form that this version does not know.
 */
export function payloadOf(parts: Readonly<Record<string, Buffer | null | undefined>>): LivePayload | undefined {
  const { audio, visualFrames, audioFeatures, visualForm: form } = parts;
  if (!audio || !visualFrames || !audioFeatures) return undefined;
  const visualForm = form?.toString() ?? 'floats';
  if (isVisualForm(visualForm)) return { audio, visualFrames, audioFeatures, visualForm };
  throw new FarmError('internal', `Visual inputs have the unknown form "${visualForm}"`);
}

export async function saveLivePayload(redis: Redis, requestId: string, payload: LivePayload): Promise<void> {
  const key = livePayloadKey(requestId);
  await redis.multi().hset(key, partsOf(payload)).expire(key, LIVE_KEYS_LIFETIME_S).exec();
}

/** KEYS payload. ARGV lifetime in seconds. One command: each costs the front end work while somebody waits. */
const ANNOUNCE = `redis.call('HSET', KEYS[1], 'direct', '1') return redis.call('EXPIRE', KEYS[1], ARGV[1])`;

/** Says that the request is wanted, without its payload: the front end has that ready for the worker. */
export async function announceLivePayload(redis: Redis, requestId: string): Promise<void> {
  await redis.eval(ANNOUNCE, 1, livePayloadKey(requestId), LIVE_KEYS_LIFETIME_S);
}

/**
 * The payload; one that was only announced is waited for. Undefined when it was removed, because the request was given
 * up: a front end that dies no longer renews the key.
 * @throws FarmError as `payloadOf`.
 */
export async function waitForLivePayload(redis: Redis, requestId: string): Promise<LivePayload | undefined> {
  for (;;) {
    const [direct, ...parts] = await redis.hmgetBuffer(livePayloadKey(requestId), 'direct', ...PARTS);
    const payload = payloadOf(Object.fromEntries(PARTS.map((name, place) => [name, parts[place]])));
    if (payload || !direct) return payload;
    await delay(LOOK_EVERY_MS);
  }
}
