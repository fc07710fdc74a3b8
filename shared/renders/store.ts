import type { Redis } from 'ioredis';
import { type ErrorReport, FarmError } from '../errors.ts';
import { KEY_PREFIX } from '../redis.ts';
import { HOUR_MS } from '../units.ts';
import { type ListPosition, walkNewestFirst } from './index-walk.ts';
import {
  ACTIVE_KEY,
  INDEX_KEY,
  idempotencyKey,
  ownedName,
  ownerActiveKey,
  ownerIndexKey,
  previewKey,
  progressKey,
  receiptsKey,
  recordKey,
} from './keys.ts';
import {
  isTerminal,
  RENDER_STATUSES,
  type RenderPlan,
  type RenderRecord,
  type RenderRequest,
  type RenderStatus,
  renderRecordSchema,
} from './record.ts';
import { ADMIT, REMOVE, TRANSITION } from './scripts.ts';
import { RenderSegments } from './segments.ts';

/** Channel for the id of a render that must stop: a wake-up only, the record is what counts. */
export const CANCEL_CHANNEL = `${KEY_PREFIX}:cancel`;
const IDEMPOTENCY_LIFETIME_MS = 24 * HOUR_MS;

/** Renders whose status is asked for at a time, where one is looked for. */
const LOOK_THROUGH = 200;

/** An idempotency key as it was sent, and a fingerprint of the request that it came with. */
export interface IdempotencyClaim {
  readonly key: string;
  readonly fingerprint: string;
}

/** The API key that a render belongs to. */
export interface RenderOwner {
  readonly name: string;
  /** Renders of it that may be unfinished; 0: as many as the farm takes. */
  readonly mostUnfinished: number;
  /** Whether a render without an owner, made under the same idempotency key before the farm had keys, is its as well. */
  readonly takesUnowned: boolean;
}

export interface ListFilter {
  readonly status?: RenderStatus | undefined;
  /** Name of an API key: only its renders. */
  readonly owner?: string | undefined;
}

export type Admission =
  | { outcome: 'admitted' }
  | { outcome: 'full'; activeCount: number }
  | { outcome: 'owner full'; activeCount: number }
  | { outcome: 'known'; renderId: string; sameRequest: boolean };

/** The records of all renders. All changes of status are made here, and only allowed ones take effect. */
export class RenderStore {
  readonly segments: RenderSegments;
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.segments = new RenderSegments(redis);
  }

  async admit(
    renderId: string,
    request: RenderRequest,
    limit: number,
    claim: IdempotencyClaim | undefined,
    owner?: RenderOwner,
  ): Promise<Admission> {
    const createdAtMs = Date.now();
    const claimed = claim ? JSON.stringify({ renderId, fingerprint: claim.fingerprint }) : '';
    const names = namesOf(claim, owner);
    const optional = { ...(claim ? { idempotencyKey: names.own } : {}), ...(owner ? { owner: owner.name } : {}) };
    const answer = (await this.#redis.eval(
      ADMIT,
      7,
      recordKey(renderId),
      INDEX_KEY,
      ACTIVE_KEY,
      idempotencyKey(names.own),
      idempotencyKey(names.other),
      ownerIndexKey(owner?.name ?? ''),
      ownerActiveKey(owner?.name ?? ''),
      limit,
      renderId,
      createdAtMs,
      claimed,
      IDEMPOTENCY_LIFETIME_MS,
      owner?.mostUnfinished ?? '',
      ...fields({ renderId, status: 'queued', request, createdAtMs, ...optional }),
    )) as [string, string?];
    const [outcome, detail = ''] = answer;
    if (outcome === 'full' || outcome === 'owner full') return { outcome, activeCount: Number(detail) };
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
    if (!record) throw unknownRender(renderId);
    return record;
  }

  /** Up to `limit` renders, newest first: those behind `after` that pass the filter. */
  async list(limit: number, after?: ListPosition, { status, owner }: ListFilter = {}): Promise<RenderRecord[]> {
    const found: RenderRecord[] = [];
    const indexKey = owner === undefined ? INDEX_KEY : ownerIndexKey(owner);
    const pieceSize = status === undefined ? limit : Math.max(limit, LOOK_THROUGH);
    for await (const ids of walkNewestFirst(this.#redis, indexKey, pieceSize, after)) {
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

  /** Unfinished renders, of all owners or of one. */
  async countActive(owner?: string): Promise<number> {
    if (owner === undefined) return await this.#redis.scard(ACTIVE_KEY);
    // Some of the owner's set may have ended meanwhile.
    const ids = await this.#redis.smembers(ownerActiveKey(owner));
    if (ids.length === 0) return 0;
    const unfinished = await this.#redis.smismember(ACTIVE_KEY, ...ids);
    return unfinished.filter((isMember) => isMember === 1).length;
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

  /**
   * Removes the record of a render that has ended; an unfinished one stays. Returns the status that it had, or undefined
   * when there was none.
   */
  async remove(renderId: string): Promise<RenderStatus | undefined> {
    const keys = [recordKey, progressKey, receiptsKey, previewKey].map((keyOf) => keyOf(renderId));
    const ended = JSON.stringify(RENDER_STATUSES.filter(isTerminal));
    const status = await this.#redis.eval(
      REMOVE,
      5,
      ...keys,
      INDEX_KEY,
      renderId,
      ended,
      idempotencyKey(''),
      ownerIndexKey(''),
    );
    return (status as RenderStatus | null) ?? undefined;
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

/** A render that is not there, or that is none of the caller's. */
export function unknownRender(renderId: string): FarmError {
  return new FarmError('render_unknown', `There is no render ${renderId}`);
}

/** Under which name a claim is kept, and under which other name it is looked for as well. */
function namesOf(claim: IdempotencyClaim | undefined, owner: RenderOwner | undefined): { own: string; other: string } {
  const sent = claim?.key ?? '';
  const own = owner ? ownedName(owner.name, sent) : sent;
  return { own, other: owner?.takesUnowned ? sent : own };
}

function fields(values: Record<string, unknown>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [name, JSON.stringify(value)]);
}

function parseRecord(raw: Record<string, string>): RenderRecord {
  return renderRecordSchema.parse(
    Object.fromEntries(Object.entries(raw).map(([name, text]) => [name, JSON.parse(text)])),
  );
}
