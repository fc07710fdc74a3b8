import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { type ErrorReport, FarmError } from '../errors/farm-error.ts';
import { toStoredError } from '../formats/stored-error.ts';
import type { Origin } from '../jobs/origin.ts';
import { COUNTS_KEY } from '../metrics/series.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { HOUR_MS, MINUTE_MS } from '../units.ts';
import { EVENT_OF_STATUS } from './events.ts';
import {
  ACTIVE_KEY,
  eventsKey,
  goneKey,
  INDEX_KEY,
  idempotencyKey,
  ownedName,
  ownerActiveKey,
  ownerIndexKey,
  previewKey,
  progressKey,
  receiptsKey,
  recordKey,
  STORED_KEY,
  STORED_SUMS_KEY,
  WORK_SUMS_KEY,
  waitsKey,
} from './keys.ts';
import { RenderReader } from './reader.ts';
import { isTerminal, RENDER_STATUSES, type RenderPlan, type RenderRequest, type RenderStatus } from './record.ts';
import { ADMIT, COUNT_AS_ENDED, REMOVE, RETRY, TRANSITION } from './scripts.ts';
import { searchTextOf } from './search.ts';
import { RenderSegments } from './segments.ts';
import { StoredBytes } from './stored-bytes.ts';
import { RenderWaits } from './waits.ts';

/** Channel for the id of a render that must stop: a wake-up only, the record is what counts. */
export const CANCEL_CHANNEL = `${KEY_PREFIX}:cancel`;
const UNFINISHED = RENDER_STATUSES.filter((status) => !isTerminal(status));
const IDEMPOTENCY_LIFETIME_MS = 24 * HOUR_MS;
/** Longer than a command can be on its way. */
const GONE_LIFETIME_MS = 10 * MINUTE_MS;

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
  /** Bytes that its renders may take; absent or 0: as many as the farm stores. */
  readonly mostStoredBytes?: number;
  /**
   * Where its idempotency keys belong: apart from those of all others; apart, but one that was used before the farm had
   * owners is good as well; or in common with all that have no place apart.
   */
  readonly idempotency: 'apart' | 'apart or common' | 'common';
}

export interface AdmissionRules {
  /**
   * True when this was asked before without an answer: a refusal then holds against the first time too, should it reach
   * Redis only later.
   */
  readonly lastWord?: boolean;
  /** Bytes that the renders of the farm may take with this upload; absent or 0: any number. */
  readonly mostStoredBytes?: number;
  /** The request that it came with. */
  readonly origin?: Origin;
}

/** As many renders are unfinished as there may be, of the farm or of the owner. */
type Full = { outcome: 'full'; activeCount: number } | { outcome: 'owner full'; activeCount: number };
/** With the upload more would be stored than there may be, of the farm or of the owner. */
type StorageFull =
  | { outcome: 'storage full'; storedBytes: number }
  | { outcome: 'owner storage full'; storedBytes: number };
export type Admission =
  | { outcome: 'admitted' }
  | Full
  | StorageFull
  | { outcome: 'known'; renderId: string; sameRequest: boolean };
export type Retry = { outcome: 'queued' | 'not failed' } | Full;

/**
 * The records of all renders. All changes of status are made here, and only allowed ones take effect. Each has a
 * writer: a step that is taken again by the same one, because nobody knew what became of it, has succeeded.
 */
export class RenderStore extends RenderReader {
  readonly segments: RenderSegments;
  readonly waits: RenderWaits;
  readonly stored: StoredBytes;

  constructor(redis: Redis) {
    super(redis);
    this.segments = new RenderSegments(redis);
    this.waits = new RenderWaits(redis);
    this.stored = new StoredBytes(redis);
  }

  /**
   * Admits a render, or says why not. One that is there already, since this was asked before, is admitted.
   * @param limit unfinished renders that there may be.
   */
  async admit(
    renderId: string,
    request: RenderRequest,
    limit: number,
    claim: IdempotencyClaim | undefined,
    owner?: RenderOwner,
    { lastWord = false, mostStoredBytes = 0, origin }: AdmissionRules = {},
  ): Promise<Admission> {
    const createdAtMs = Date.now();
    const claimed = claim ? JSON.stringify({ renderId, fingerprint: claim.fingerprint }) : '';
    const names = namesOf(claim, owner);
    const optional = {
      search: searchTextOf(renderId, request),
      ...(claim ? { idempotencyKey: names.own } : {}),
      ...(owner ? { owner: owner.name } : {}),
      ...(origin ? { origin } : {}),
    };
    const answer = (await this.redis.eval(
      ADMIT,
      11,
      recordKey(renderId),
      INDEX_KEY,
      ACTIVE_KEY,
      idempotencyKey(names.own),
      idempotencyKey(names.other),
      ownerIndexKey(owner?.name ?? ''),
      ownerActiveKey(owner?.name ?? ''),
      goneKey(renderId),
      STORED_KEY,
      STORED_SUMS_KEY,
      COUNTS_KEY,
      limit,
      renderId,
      createdAtMs,
      claimed,
      IDEMPOTENCY_LIFETIME_MS,
      owner?.mostUnfinished ?? '',
      lastWord ? GONE_LIFETIME_MS : 0,
      request.uploadBytes,
      mostStoredBytes,
      owner?.mostStoredBytes ?? 0,
      owner?.name ?? '',
      ...fields({ renderId, status: 'queued', request, createdAtMs, ...optional }),
    )) as [string, string?];
    if (answer[0] === 'gone') throw new FarmError('render_unknown', `Render ${renderId} was removed meanwhile`);
    return toAdmission(answer, claim);
  }

  /** Whether a render was made under this idempotency key of the owner, so that the same request is none that is new. */
  async isClaimed(key: string, owner?: RenderOwner): Promise<boolean> {
    const names = namesOf({ key }, owner);
    return (await this.redis.exists(idempotencyKey(names.own), idempotencyKey(names.other))) > 0;
  }

  /** True when the render is now being prepared (again, after a retry). */
  async startPreparing(renderId: string, writer = newWriter()): Promise<boolean> {
    return await this.#move(renderId, writer, 'preparing', ['queued', 'preparing'], { preparingAtMs: Date.now() });
  }

  async startRendering(renderId: string, plan: RenderPlan, writer = newWriter()): Promise<boolean> {
    return await this.#move(renderId, writer, 'rendering', ['preparing'], { plan, renderingAtMs: Date.now() });
  }

  async startStitching(renderId: string, writer = newWriter()): Promise<boolean> {
    return await this.#move(renderId, writer, 'stitching', ['rendering', 'stitching'], { stitchingAtMs: Date.now() });
  }

  /** @param resultBytes what stays of its files; undefined: not known. */
  async complete(renderId: string, writer = newWriter(), resultBytes?: number): Promise<boolean> {
    return await this.#move(renderId, writer, 'completed', ['stitching'], { finishedAtMs: Date.now() }, resultBytes);
  }

  /** Ends the render with an error, unless it has ended already; its other jobs are told to stop. */
  async fail(renderId: string, error: ErrorReport, writer = newWriter()): Promise<boolean> {
    return await this.#move(renderId, writer, 'failed', UNFINISHED, {
      error: toStoredError(error),
      finishedAtMs: Date.now(),
    });
  }

  /** True when the render was still running and is cancelled now. */
  async cancel(renderId: string, writer = newWriter()): Promise<boolean> {
    return await this.#move(renderId, writer, 'cancelled', UNFINISHED, { finishedAtMs: Date.now() }, 0);
  }

  /**
   * Removes the record of a render that has ended; an unfinished one stays. Returns the status that it had, or undefined
   * when there was none.
   */
  async remove(renderId: string, writer = newWriter()): Promise<RenderStatus | undefined> {
    const keys = [recordKey, progressKey, receiptsKey, previewKey].map((keyOf) => keyOf(renderId));
    const ended = JSON.stringify(RENDER_STATUSES.filter(isTerminal));
    const status = await this.redis.eval(
      REMOVE,
      10,
      ...keys,
      INDEX_KEY,
      goneKey(renderId),
      waitsKey(renderId),
      STORED_KEY,
      STORED_SUMS_KEY,
      eventsKey(renderId),
      renderId,
      ended,
      idempotencyKey(''),
      ownerIndexKey(''),
      writer,
      GONE_LIFETIME_MS,
    );
    return (status as RenderStatus | null) ?? undefined;
  }

  /** Has a render without a record, or with one that has ended, no longer count as unfinished. */
  async countAsEnded(renderId: string): Promise<void> {
    await this.redis.eval(COUNT_AS_ENDED, 2, recordKey(renderId), ACTIVE_KEY, renderId, JSON.stringify(UNFINISHED));
  }

  /**
   * Takes a failed render up again, or says why not.
   * @param limits unfinished renders that there may be: `all` of the farm, `own` of the render's owner; 0 for any number.
   */
  async retry(renderId: string, limits: { all: number; own: number }, writer = newWriter()): Promise<Retry> {
    const keys = [recordKey(renderId), ACTIVE_KEY, progressKey(renderId), receiptsKey(renderId), waitsKey(renderId)];
    const args = [renderId, limits.all, writer, ownerActiveKey(''), limits.own];
    const [outcome, count] = ((await this.redis.eval(RETRY, 5, ...keys, ...args)) ?? []) as string[];
    if (outcome === 'full' || outcome === 'owner full') return { outcome, activeCount: Number(count) };
    return { outcome: outcome === 'moved' ? 'queued' : 'not failed' };
  }

  async #move(
    renderId: string,
    writer: string,
    to: RenderStatus,
    from: readonly RenderStatus[],
    changes: Record<string, unknown>,
    storedBytes: number | '' = '',
  ): Promise<boolean> {
    const answer = await this.redis.eval(
      TRANSITION,
      6,
      recordKey(renderId),
      ACTIVE_KEY,
      WORK_SUMS_KEY,
      STORED_KEY,
      STORED_SUMS_KEY,
      COUNTS_KEY,
      renderId,
      to,
      isTerminal(to) ? CANCEL_CHANNEL : '',
      JSON.stringify(from),
      writer,
      storedBytes,
      EVENT_OF_STATUS[to],
      ...fields(changes),
    );
    return answer === 'moved';
  }
}

function toAdmission([outcome, detail = '']: [string, string?], claim: IdempotencyClaim | undefined): Admission {
  if (outcome === 'full' || outcome === 'owner full') return { outcome, activeCount: Number(detail) };
  if (outcome === 'storage full' || outcome === 'owner storage full') return { outcome, storedBytes: Number(detail) };
  if (outcome !== 'known') return { outcome: 'admitted' };
  const known = JSON.parse(detail) as { renderId: string; fingerprint: string };
  return { outcome, renderId: known.renderId, sameRequest: known.fingerprint === claim?.fingerprint };
}

/** Under which name a claim is kept, and under which other name it is looked for as well. */
function namesOf(
  claim: Pick<IdempotencyClaim, 'key'> | undefined,
  owner: RenderOwner | undefined,
): { own: string; other: string } {
  const common = claim?.key ?? '';
  if (!owner || owner.idempotency === 'common') return { own: common, other: common };
  const own = ownedName(owner.name, common);
  return { own, other: owner.idempotency === 'apart' ? own : common };
}

/** For a step that only its own caller may take again. */
export function newWriter(): string {
  return randomUUID();
}

function fields(values: Record<string, unknown>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [name, JSON.stringify(value)]);
}
