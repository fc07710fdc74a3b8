import type { Redis } from 'ioredis';
import { FarmError } from '../errors/farm-error.ts';
import type { ListPosition } from './index-walk.ts';
import { ACTIVE_KEY, ownerActiveKey, recordKey } from './keys.ts';
import { type RenderRecord, renderRecordSchema } from './record.ts';
import { type ListFilter, listIds } from './render-list.ts';
import { readableOnly, unreadable } from './unreadable.ts';

/** Some of the list of renders. */
export interface RecordPage {
  readonly records: RenderRecord[];
  /** Where to go on; undefined on the last page. */
  readonly next: ListPosition | undefined;
}

/** Reads the records of all renders. */
export class RenderReader {
  protected readonly redis: Redis;

  constructor(redis: Redis) {
    this.redis = redis;
  }

  /** Undefined when there is none. FarmError('record_unreadable'). */
  async find(renderId: string): Promise<RenderRecord | undefined> {
    const raw = await this.redis.hgetall(recordKey(renderId));
    return Object.keys(raw).length > 0 ? parseRecord(renderId, raw) : undefined;
  }

  /** FarmError: render_unknown, record_unreadable. */
  async get(renderId: string): Promise<RenderRecord> {
    const record = await this.find(renderId);
    if (!record) throw unknownRender(renderId);
    return record;
  }

  /**
   * Up to `limit` renders, newest first: those behind `after` that pass the filter. Those whose records cannot be read
   * are left out.
   */
  async list(limit: number, after?: ListPosition, filter: ListFilter = {}): Promise<RecordPage> {
    const { ids, next } = await listIds(this.redis, limit, after, filter);
    const records = await Promise.all(ids.map((id) => this.findReadable(id)));
    return { records: records.filter((record) => record !== undefined), next };
  }

  /** Undefined also when the record cannot be read. */
  async findReadable(renderId: string): Promise<RenderRecord | undefined> {
    return await readableOnly(this.find(renderId));
  }

  /** Unfinished renders, of all owners or of one. */
  async countActive(owner?: string): Promise<number> {
    if (owner === undefined) return await this.redis.scard(ACTIVE_KEY);
    // Some of the owner's set may have ended meanwhile.
    const ids = await this.redis.smembers(ownerActiveKey(owner));
    if (ids.length === 0) return 0;
    const unfinished = await this.redis.smismember(ACTIVE_KEY, ...ids);
    return unfinished.filter((isMember) => isMember === 1).length;
  }

  async activeIds(): Promise<string[]> {
    return await this.redis.smembers(ACTIVE_KEY);
  }
}

function parseRecord(renderId: string, raw: Record<string, string>): RenderRecord {
  try {
    const values = Object.entries(raw).map(([name, text]) => [name, JSON.parse(text)]);
    return renderRecordSchema.parse(Object.fromEntries(values));
  } catch (error) {
    throw unreadable(`The record of render ${renderId}`, error);
  }
}

/** A render that is not there, or that is none of the caller's. */
export function unknownRender(renderId: string): FarmError {
  return new FarmError('render_unknown', `There is no render ${renderId}`);
}
