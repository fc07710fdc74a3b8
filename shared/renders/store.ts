import type { Redis } from 'ioredis';
import { type ErrorReport, FarmError } from '../errors.ts';
import { KEY_PREFIX } from '../redis.ts';
import { HOUR_MS } from '../units.ts';
import { type ListPosition, walkNewestFirst } from './index-walk.ts';
import {
  isTerminal,
  type RenderPlan,
  type RenderRecord,
  type RenderRequest,
  type RenderStatus,
  renderRecordSchema,
  type SegmentReceipt,
  segmentReceiptSchema,
} from './record.ts';
import { ADMIT, PROGRESS, TRANSITION } from './scripts.ts';

const INDEX_KEY = `${KEY_PREFIX}:renders`;
const ACTIVE_KEY = `${KEY_PREFIX}:renders:active`;
/** Channel for the id of a render that must stop: a wake-up only, the record is what counts. */
export const CANCEL_CHANNEL = `${KEY_PREFIX}:cancel`;
const IDEMPOTENCY_LIFETIME_MS = 24 * HOUR_MS;

const recordKey = (renderId: string) => `${KEY_PREFIX}:render:${renderId}`;
const progressKey = (renderId: string) => `${recordKey(renderId)}:progress`;
const receiptsKey = (renderId: string) => `${recordKey(renderId)}:segments`;
const previewKey = (renderId: string) => `${recordKey(renderId)}:preview`;
const PREVIEW_LIFETIME_S = 60;
/** Renders whose status is asked for at a time, where one is looked for. */
const LOOK_THROUGH = 200;
const idempotencyKey = (key: string) => `${KEY_PREFIX}:idempotency:${key}`;

/** An idempotency key, and a fingerprint of the request that it came with. */
export interface IdempotencyClaim {
  readonly key: string;
  readonly fingerprint: string;
}

export type Admission =
  | { outcome: 'admitted' }
  | { outcome: 'full'; activeCount: number }
  | { outcome: 'known'; renderId: string; sameRequest: boolean };

export interface RenderProgress {
  /** Never falls: frames that a lost worker had done stay counted. */
  readonly framesDone: number;
  /** How many of them are still to be rendered again. */
  readonly framesRepeating: number;
}

/** The records of all renders. All changes of status are made here, and only allowed ones take effect. */
export class RenderStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async admit(
    renderId: string,
    request: RenderRequest,
    limit: number,
    claim: IdempotencyClaim | undefined,
  ): Promise<Admission> {
    const createdAtMs = Date.now();
    const claimed = claim ? JSON.stringify({ renderId, fingerprint: claim.fingerprint }) : '';
    const answer = (await this.#redis.eval(
      ADMIT,
      4,
      recordKey(renderId),
      INDEX_KEY,
      ACTIVE_KEY,
      idempotencyKey(claim?.key ?? ''),
      limit,
      renderId,
      createdAtMs,
      claimed,
      IDEMPOTENCY_LIFETIME_MS,
      ...fields({ renderId, status: 'queued', request, createdAtMs, ...(claim ? { idempotencyKey: claim.key } : {}) }),
    )) as [string, string?];
    const [outcome, detail = ''] = answer;
    if (outcome === 'full') return { outcome, activeCount: Number(detail) };
    if (outcome !== 'known') return { outcome: 'admitted' };
    const known = JSON.parse(detail) as { renderId: string; fingerprint: string };
    return { outcome, renderId: known.renderId, sameRequest: known.fingerprint === claim?.fingerprint };
  }

  async find(renderId: string): Promise<RenderRecord | undefined> {
    const raw = await this.#redis.hgetall(recordKey(renderId));
    return Object.keys(raw).length > 0 ? parseRecord(raw) : undefined;
  }

  /** The record, or FarmError('render_unknown'). */
  async get(renderId: string): Promise<RenderRecord> {
    const record = await this.find(renderId);
    if (!record) throw new FarmError('render_unknown', `There is no render ${renderId}`);
    return record;
  }

  /** Up to `limit` renders, newest first: those behind `after`, and only those of a status if one is given. */
  async list(limit: number, after?: ListPosition, status?: RenderStatus): Promise<RenderRecord[]> {
    const found: RenderRecord[] = [];
    const pieceSize = status === undefined ? limit : Math.max(limit, LOOK_THROUGH);
    for await (const ids of walkNewestFirst(this.#redis, INDEX_KEY, pieceSize, after)) {
      const records = await Promise.all(ids.map((id) => this.#findIn(id, status)));
      found.push(...records.filter((record) => record !== undefined));
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  /** The record if it has that status. The status alone is asked for first: most records will have another one. */
  async #findIn(renderId: string, status: RenderStatus | undefined): Promise<RenderRecord | undefined> {
    if (status === undefined) return await this.find(renderId);
    const now = await this.#redis.hget(recordKey(renderId), 'status');
    if (now !== JSON.stringify(status)) return undefined;
    const record = await this.find(renderId);
    return record?.status === status ? record : undefined;
  }

  async countActive(): Promise<number> {
    return await this.#redis.scard(ACTIVE_KEY);
  }

  async activeIds(): Promise<string[]> {
    return await this.#redis.smembers(ACTIVE_KEY);
  }

  /** True when the render is now being prepared (again, after a retry). */
  async startPreparing(renderId: string): Promise<boolean> {
    return await this.#move(renderId, 'preparing', ['queued', 'preparing'], { preparingAtMs: Date.now() });
  }

  async startRendering(renderId: string, plan: RenderPlan): Promise<boolean> {
    return await this.#move(renderId, 'rendering', ['preparing'], { plan, renderingAtMs: Date.now() });
  }

  async startStitching(renderId: string): Promise<boolean> {
    return await this.#move(renderId, 'stitching', ['rendering', 'stitching'], { stitchingAtMs: Date.now() });
  }

  async complete(renderId: string): Promise<boolean> {
    return await this.#move(renderId, 'completed', ['stitching'], { finishedAtMs: Date.now() });
  }

  /** Ends the render with an error, unless it has ended already; its other jobs are told to stop. */
  async fail(renderId: string, error: ErrorReport): Promise<boolean> {
    return await this.#end(renderId, 'failed', { error, finishedAtMs: Date.now() });
  }

  /** True when the render was still running and is cancelled now. */
  async cancel(renderId: string): Promise<boolean> {
    return await this.#end(renderId, 'cancelled', { finishedAtMs: Date.now() });
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

  async saveSegmentReceipt(renderId: string, receipt: SegmentReceipt): Promise<void> {
    await this.#redis.hset(receiptsKey(renderId), String(receipt.index), JSON.stringify(receipt));
  }

  /** In the order of the segments. */
  async segmentReceipts(renderId: string): Promise<SegmentReceipt[]> {
    const texts = await this.#redis.hvals(receiptsKey(renderId));
    return texts.map((text) => segmentReceiptSchema.parse(JSON.parse(text))).sort((a, b) => a.index - b.index);
  }

  async remove(renderId: string): Promise<void> {
    const claimed = (await this.find(renderId))?.idempotencyKey;
    await this.#redis
      .multi()
      .del(recordKey(renderId), progressKey(renderId), receiptsKey(renderId), previewKey(renderId))
      .del(idempotencyKey(claimed ?? ''))
      .zrem(INDEX_KEY, renderId)
      .srem(ACTIVE_KEY, renderId)
      .exec();
  }

  async #end(renderId: string, to: RenderStatus, changes: Record<string, unknown>): Promise<boolean> {
    const ended = await this.#move(renderId, to, ['queued', 'preparing', 'rendering', 'stitching'], changes);
    if (ended) await this.#redis.publish(CANCEL_CHANNEL, renderId);
    return ended;
  }

  async #move(
    renderId: string,
    to: RenderStatus,
    from: readonly RenderStatus[],
    changes: Record<string, unknown>,
  ): Promise<boolean> {
    const before = await this.#redis.eval(
      TRANSITION,
      2,
      recordKey(renderId),
      ACTIVE_KEY,
      renderId,
      to,
      isTerminal(to) ? '1' : '0',
      JSON.stringify(from),
      ...fields(changes),
    );
    return before !== null && from.includes(before as RenderStatus);
  }
}

function fields(values: Record<string, unknown>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [name, JSON.stringify(value)]);
}

function parseRecord(raw: Record<string, string>): RenderRecord {
  return renderRecordSchema.parse(
    Object.fromEntries(Object.entries(raw).map(([name, text]) => [name, JSON.parse(text)])),
  );
}
