import type { Redis } from 'ioredis';
import { z } from 'zod';
import { ACTIVE_KEY, previewKey, progressKey, receiptsKey, recordKey, SPENT_KEY } from './keys.ts';
import {
  type RenderStatus,
  type SegmentReceipt,
  type StageTimings,
  segmentReceiptSchema,
  stageTimingsSchema,
} from './record.ts';
import { FORGET_RECEIPTS, PROGRESS, SAVE_RECEIPT } from './scripts.ts';
import { roundTimings, sumTimings } from './timings.ts';
import { unreadable } from './unreadable.ts';

/** A field of the record that only this module reads: what all receipts say together, and how many they are. */
const RECEIPT_SUMS_FIELD = 'receiptSums';
const receiptSumsSchema = z.object({ count: z.int(), timings_ms: stageTimingsSchema });

export interface RenderProgress {
  /** Never falls: frames that a lost worker had done stay counted. */
  readonly framesDone: number;
  /** How many of them are still to be rendered again. */
  readonly framesRepeating: number;
  /** Of those done: frames that nobody has rendered in this run of the render; absent: none. */
  readonly framesKept?: number;
}

/** What GPU workers tell of the segments of a render: frames done, receipts. */
export class RenderSegments {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Notes frames done of a segment (attempt 0: rendered before this render) and returns the render's status, or undefined when it is gone. */
  async reportProgress(
    renderId: string,
    segmentIndex: number,
    attempt: number,
    framesDone: number,
  ): Promise<RenderStatus | undefined> {
    const keys = [recordKey(renderId), progressKey(renderId), ACTIVE_KEY];
    const report = [segmentIndex, attempt, framesDone, Date.now(), renderId];
    const status = await this.#redis.eval(PROGRESS, 3, ...keys, ...report);
    return (status as RenderStatus | null) ?? undefined;
  }

  /** Of all segments together. */
  async progress(renderId: string): Promise<RenderProgress> {
    const entries = await this.#redis.hvals(progressKey(renderId));
    const counts = entries.map((entry) => entry.split(' ').map(Number));
    const framesKept = counts.reduce((sum, [attempt, now = 0]) => sum + (attempt === 0 ? now : 0), 0);
    return {
      ...(framesKept > 0 ? { framesKept } : {}),
      framesDone: counts.reduce((sum, [, , most = 0]) => sum + most, 0),
      framesRepeating: counts.reduce((sum, [, now = 0, most = 0]) => sum + most - now, 0),
    };
  }

  /** Has the segments of a completed render removed, which came after that was done. */
  async areSpent(renderId: string): Promise<void> {
    const [seconds] = await this.#redis.time();
    await this.#redis.zadd(SPENT_KEY, Number(seconds), renderId);
  }

  /** The latest picture that a worker of an earlier version has made: it kept it here, for a minute. */
  async oldPreview(renderId: string): Promise<Buffer | undefined> {
    return (await this.#redis.getBuffer(previewKey(renderId))) ?? undefined;
  }

  async saveReceipt(renderId: string, receipt: SegmentReceipt): Promise<void> {
    const keys = [receiptsKey(renderId), recordKey(renderId)];
    await this.#redis.eval(SAVE_RECEIPT, 2, ...keys, receipt.index, JSON.stringify(receipt));
  }

  /** Forgets receipts of segments whose files are gone. */
  async forgetReceipts(renderId: string, indexes: readonly number[]): Promise<void> {
    const keys = [receiptsKey(renderId), recordKey(renderId)];
    if (indexes.length > 0) await this.#redis.eval(FORGET_RECEIPTS, 2, ...keys, ...indexes);
  }

  /**
   * Work of each stage in ms over the segments that are done; undefined when none is. It was added up when the receipts
   * were written; where a worker of an older version wrote some, all are read and added up. FarmError('record_unreadable').
   */
  async stageTimings(renderId: string): Promise<StageTimings | undefined> {
    // No transaction: Redis refuses one, even of reads, while it is out of memory. What is saved between the two makes
    // the counts differ.
    const [sums, count] = await Promise.all([
      this.#redis.hget(recordKey(renderId), RECEIPT_SUMS_FIELD),
      this.#redis.hlen(receiptsKey(renderId)),
    ]);
    if (count === 0) return undefined;
    const known = receiptSumsSchema.safeParse(JSON.parse(sums ?? 'null')).data;
    if (known && known.count === count) return roundTimings(known.timings_ms);
    return sumTimings(await this.receipts(renderId));
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
