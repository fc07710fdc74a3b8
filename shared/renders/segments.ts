import type { Redis } from 'ioredis';
import { previewKey, progressKey, receiptsKey, recordKey } from './keys.ts';
import { type RenderStatus, type SegmentReceipt, segmentReceiptSchema } from './record.ts';
import { PROGRESS } from './scripts.ts';
import { unreadable } from './unreadable.ts';

const PREVIEW_LIFETIME_S = 60;

export interface RenderProgress {
  /** Never falls: frames that a lost worker had done stay counted. */
  readonly framesDone: number;
  /** How many of them are still to be rendered again. */
  readonly framesRepeating: number;
}

/** What GPU workers tell of the segments of a render: frames done, receipts, the latest picture. */
export class RenderSegments {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Notes frames done of a segment and returns the render's status, or undefined when it is gone. */
  async reportProgress(
    renderId: string,
    segmentIndex: number,
    attempt: number,
    framesDone: number,
  ): Promise<RenderStatus | undefined> {
    const keys = [recordKey(renderId), progressKey(renderId)];
    const status = await this.#redis.eval(PROGRESS, 2, ...keys, segmentIndex, attempt, framesDone, Date.now());
    return (status as RenderStatus | null) ?? undefined;
  }

  /** Of all segments together. */
  async progress(renderId: string): Promise<RenderProgress> {
    const entries = await this.#redis.hvals(progressKey(renderId));
    const counts = entries.map((entry) => entry.split(' ').map(Number));
    return {
      framesDone: counts.reduce((sum, [, , most = 0]) => sum + most, 0),
      framesRepeating: counts.reduce((sum, [, now = 0, most = 0]) => sum + most - now, 0),
    };
  }

  /** Keeps the latest picture of a render, a JPEG file, for a minute. */
  async savePreview(renderId: string, jpeg: Buffer): Promise<void> {
    await this.#redis.set(previewKey(renderId), jpeg, 'EX', PREVIEW_LIFETIME_S);
  }

  /** The latest picture, if there is one of the last minute. */
  async preview(renderId: string): Promise<Buffer | undefined> {
    return (await this.#redis.getBuffer(previewKey(renderId))) ?? undefined;
  }

  async saveReceipt(renderId: string, receipt: SegmentReceipt): Promise<void> {
    await this.#redis.hset(receiptsKey(renderId), String(receipt.index), JSON.stringify(receipt));
  }

  /** Forgets receipts of segments whose files are gone. */
  async forgetReceipts(renderId: string, indexes: readonly number[]): Promise<void> {
    if (indexes.length > 0) await this.#redis.hdel(receiptsKey(renderId), ...indexes.map(String));
  }

  /** In the order of the segments. FarmError('record_unreadable'). */
  async receipts(renderId: string): Promise<SegmentReceipt[]> {
    const texts = await this.#redis.hvals(receiptsKey(renderId));
    try {
      return texts.map((text) => segmentReceiptSchema.parse(JSON.parse(text))).sort((a, b) => a.index - b.index);
    } catch (error) {
      throw unreadable(`The receipt of a segment of render ${renderId}`, error);
    }
  }
}
