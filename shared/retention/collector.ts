import path from 'node:path';
import type { Redis } from 'ioredis';
import { artifactKeys, keptKeys } from '../artifacts/keys.ts';
import { storeSettings } from '../artifacts/open.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import type { Config } from '../config/load.ts';
import { FarmError } from '../errors/farm-error.ts';
import { farmMark } from '../farm/farm-mark.ts';
import { confirmFarm, type IdentityLog, isSameFarm } from '../farm/identity.ts';
import type { FarmMark } from '../farm/mark.ts';
import type { QueueClients } from '../jobs/queues.ts';
import { LISTED_STATUSES, statusKey } from '../renders/facets.ts';
import { ACTIVE_KEY, INDEX_KEY } from '../renders/keys.ts';
import { isTerminal } from '../renders/record.ts';
import type { RenderStore } from '../renders/store.ts';
import type { RenderSize } from '../renders/stored-bytes.ts';
import type { KeptTotals } from '../segments/kept-index.ts';
import { SegmentCache } from '../segments/segment-cache.ts';
import { HOUR_MS } from '../units.ts';
import { type CollectorLease, takeCollectorLease } from './collector-lease.ts';
import { readEnded, whichHaveRecords } from './ended-renders.ts';
import { findUnknownSegments, type UnknownSegments } from './kept-segments.ts';
import { findLeftovers, type Leftover } from './leftover.ts';
import { findOldJobs, type OldJobs, removeOldJobs } from './old-jobs.ts';
import { findUnusedPictures, removeUnusedPictures, type UnusedPictures } from './unused-pictures.ts';

export interface CollectorTools {
  readonly config: Pick<Config, 'retention' | 'storage' | 'storageRoot' | 'preparedDir'>;
  readonly redis: Redis;
  readonly queues: QueueClients;
  readonly store: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly log: IdentityLog;
}

/** Something that is to go, or has gone. */
export interface Collected {
  readonly kind: Leftover['kind'] | 'entry' | 'jobs' | 'prepared' | 'kept';
  readonly id: string;
  readonly bytes: number;
  readonly reason: string;
  /** Why it is still there; absent when it has gone, or was only to be named. */
  readonly fault?: string;
}

interface Found {
  readonly leftovers: Leftover[];
  /** Ids that are listed and have no record. */
  readonly listedOnly: readonly string[];
  readonly jobs: readonly OldJobs[];
  readonly pictures: UnusedPictures | undefined;
  /** Bytes of kept segments above the limit. */
  readonly keptTooMuch: number;
  readonly unknownSegments: UnknownSegments | undefined;
  /** Of renders that ended some time ago. */
  readonly sizes: readonly RenderSize[];
}

/** What a completed render no longer needs has gone by then. */
const SETTLED_AFTER_MS = 60_000;

/**
 * Removes what has expired: renders, files without a record, files that nobody needs, failed jobs. Corrects the count of
 * what renders have stored by what it found.
 */
export class Collector {
  readonly #tools: CollectorTools;
  readonly #mark: FarmMark;
  readonly #cache: SegmentCache;

  constructor(tools: CollectorTools) {
    this.#tools = tools;
    this.#mark = farmMark(storeSettings(tools.config));
    this.#cache = new SegmentCache(tools.redis, tools.artifacts, tools.config.storage.segment_cache_gb);
  }

  /**
   * What would go now. FarmError: `farm_mismatch`, `storage_unmarked`, `storage_failed`, `redis_unavailable`: as long
   * as one of both cannot be read, nothing counts as absent.
   */
  async preview(): Promise<Collected[]> {
    return describe(await this.#find());
  }

  /**
   * Removes it. Only one process of the farm does so at a time. FarmError: those of `preview`, and `gc_running`. What
   * one removal fails with is in its entry, and does not keep the others from being removed.
   */
  async collect(): Promise<Collected[]> {
    const lease = await takeCollectorLease(this.#tools.redis);
    if (!lease) throw new FarmError('gc_running', 'Another process of the farm is removing what has expired');
    try {
      return await this.#collect(await this.#find(), lease);
    } finally {
      await lease.release();
    }
  }

  /** Segments that are kept for later renders, and how many bytes may be. */
  async kept(): Promise<KeptTotals & { readonly mostBytes: number }> {
    return { ...(await this.#cache.index.totals()), mostBytes: this.#cache.mostBytes };
  }

  /** Removes all segments that are kept. FarmError: `farm_mismatch`, `storage_unmarked`, `storage_failed`. */
  async clearKept(): Promise<void> {
    const { redis, log } = this.#tools;
    await confirmFarm(redis, this.#mark, log);
    await this.#cache.clear();
  }

  async #find(): Promise<Found> {
    const { config, redis, queues, artifacts, log } = this.#tools;
    const { retention, preparedDir } = config;
    await confirmFarm(redis, this.#mark, log);
    // The records after the folders: a render that was taken in between has one by then.
    const folders = await artifacts.renderFolders();
    const { ended, listedOnly } = await readEnded(redis);
    const names = folders.map(({ name }) => name);
    const leftovers = findLeftovers({ ended, folders, recorded: await whichHaveRecords(redis, names) }, retention);
    const bytesOf = new Map(folders.map(({ name, bytes }) => [name, bytes]));
    const sizes = ended
      .filter(({ endedAgoMs }) => endedAgoMs > SETTLED_AFTER_MS)
      .map(({ renderId }) => ({ renderId, bytes: bytesOf.get(renderId) ?? 0 }));
    const jobs = await findOldJobs(redis, queues, retention.failed_job_days);
    const pictures = await findUnusedPictures(preparedDir, retention.prepared_days);
    const { bytes, mostBytes } = await this.kept();
    const unknownSegments = await findUnknownSegments(this.#tools.artifacts, this.#cache.index);
    const keptTooMuch = Math.max(0, bytes - mostBytes);
    return { leftovers, listedOnly, sizes, jobs, pictures, keptTooMuch, unknownSegments };
  }

  async #collect(found: Found, lease: CollectorLease): Promise<Collected[]> {
    const { redis, config } = this.#tools;
    const done: Collected[] = [];
    const attempt = async (entries: readonly Collected[], remove: () => Promise<unknown>) => {
      // Redis may have become another one since: then what has no record there proves nothing.
      if (!(await lease.renew()) || !(await isSameFarm(redis, this.#mark))) {
        throw new FarmError('gc_running', 'Another process has begun to remove what has expired');
      }
      const fault = await remove().then(
        () => undefined,
        (error: Error) => ({ fault: error.message }),
      );
      done.push(...entries.map((entry) => ({ ...entry, ...fault })));
    };
    for (const leftover of found.leftovers) await attempt([leftover], () => this.#remove(leftover));
    if (found.listedOnly.length > 0) await attempt(found.listedOnly.map(toEntry), () => this.#unlist(found.listedOnly));
    for (const jobs of found.jobs) {
      await attempt([toJobs(jobs)], () => removeOldJobs(jobs, config.retention.failed_job_days));
    }
    const { pictures } = found;
    if (pictures) await attempt([toPictures(pictures)], () => removeUnusedPictures(pictures));
    const { keptTooMuch, unknownSegments } = found;
    if (keptTooMuch > 0) await attempt([toTooMuch(keptTooMuch)], () => this.#cache.shrink());
    if (unknownSegments) {
      await attempt([toUnknown(unknownSegments)], () => this.#cache.drop(unknownSegments.keys));
    }
    await this.#endOldUploads();
    // What was removed in part is measured the next time.
    const changed = new Set(found.leftovers.map(({ id }) => id.split('/')[0]));
    await this.#tools.store.stored.correct(found.sizes.filter(({ renderId }) => !changed.has(renderId)));
    return done;
  }

  /** Ends what clients, or processes that were killed, began to upload to a bucket and never completed. */
  async #endOldUploads(): Promise<void> {
    const { artifacts, config, log } = this.#tools;
    const { orphan_hours } = config.retention;
    if (!artifacts.resumable || orphan_hours === 0) return;
    try {
      const ended = await artifacts.resumable.abortOld(orphan_hours * HOUR_MS);
      if (ended > 0) log.info({ uploads: ended }, 'ended uploads that were never completed');
    } catch (error) {
      // Some servers cannot list them. They are none of the files that are counted.
      log.warn({ reason: FarmError.from(error).message }, 'could not end uploads that were never completed');
    }
  }

  /** The record goes first: files without one are found again, should this process die in between. */
  async #remove(leftover: Leftover): Promise<void> {
    const { store, artifacts, redis } = this.#tools;
    if (leftover.kind === 'part') return await artifacts.remove(path.posix.join('renders', leftover.id));
    if (leftover.kind === 'render') {
      const status = await store.remove(leftover.id);
      if (status !== undefined && !isTerminal(status)) throw new Error(`It is ${status} again`);
    } else if (leftover.kind === 'files' && (await whichHaveRecords(redis, [leftover.id])).size > 0) {
      throw new Error('It has a record by now');
    }
    await artifacts.remove(artifactKeys.folder(leftover.id));
  }

  async #unlist(renderIds: readonly string[]): Promise<void> {
    const { redis } = this.#tools;
    const recorded = await whichHaveRecords(redis, renderIds);
    const gone = renderIds.filter((renderId) => !recorded.has(renderId));
    if (gone.length === 0) return;
    const removal = redis
      .multi()
      .zrem(INDEX_KEY, ...gone)
      .srem(ACTIVE_KEY, ...gone);
    for (const status of LISTED_STATUSES) removal.zrem(statusKey(status), ...gone);
    await removal.exec();
  }
}

function describe({ leftovers, listedOnly, jobs, pictures, keptTooMuch, unknownSegments }: Found): Collected[] {
  const unused = pictures ? [toPictures(pictures)] : [];
  const kept = [
    ...(keptTooMuch > 0 ? [toTooMuch(keptTooMuch)] : []),
    ...(unknownSegments ? [toUnknown(unknownSegments)] : []),
  ];
  return [...leftovers, ...listedOnly.map(toEntry), ...jobs.map(toJobs), ...unused, ...kept];
}

function toTooMuch(bytes: number): Collected {
  return { kind: 'kept', id: keptKeys.all, bytes, reason: 'kept segments above storage.segment_cache_gb' };
}

function toUnknown({ keys, bytes }: UnknownSegments): Collected {
  return { kind: 'kept', id: keptKeys.all, bytes, reason: `${keys.length} kept segments that Redis does not know` };
}

function toPictures({ folder, files, bytes }: UnusedPictures): Collected {
  return { kind: 'prepared', id: folder, bytes, reason: `${files.length} prepared pictures that no model uses` };
}

function toEntry(id: string): Collected {
  return { kind: 'entry', id, bytes: 0, reason: 'in the list of renders, without a record' };
}

function toJobs({ queue, count }: OldJobs): Collected {
  return { kind: 'jobs', id: queue.name, bytes: 0, reason: `${count} jobs that failed long ago` };
}
