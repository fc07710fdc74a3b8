import type { Redis } from 'ioredis';
import { FarmError } from '../errors.ts';
import { type ListPosition, walkNewestFirst } from './index-walk.ts';
import { ACTIVE_KEY, INDEX_KEY, ownerActiveKey, ownerIndexKey, recordKey } from './keys.ts';
import { type RenderRecord, type RenderStatus, renderRecordSchema } from './record.ts';
import { readableOnly, unreadable } from './unreadable.ts';

/** Renders whose status is asked for at a time, where one is looked for. */
const LOOK_THROUGH = 1000;

/** ARGV beginning of the keys of records, status as JSON, ids. Returns those of the ids whose render has the status. */
const THOSE_IN_STATUS = `
local found = {}
for i = 3, #ARGV do
  if redis.call('HGET', ARGV[1] .. ARGV[i], 'status') == ARGV[2] then table.insert(found, ARGV[i]) end
end
return found
`;

export interface ListFilter {
  readonly status?: RenderStatus | undefined;
  /** Name of an API key: only its renders. */
  readonly owner?: string | undefined;
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
  async list(limit: number, after?: ListPosition, { status, owner }: ListFilter = {}): Promise<RenderRecord[]> {
    const found: RenderRecord[] = [];
    const indexKey = owner === undefined ? INDEX_KEY : ownerIndexKey(owner);
    const pieceSize = status === undefined ? limit : Math.max(limit, LOOK_THROUGH);
    for await (const ids of walkNewestFirst(this.redis, indexKey, pieceSize, after)) {
      const likely = status === undefined ? ids : await this.#thoseIn(status, ids);
      for (let from = 0; from < likely.length && found.length < limit; from += limit) {
        const records = await Promise.all(likely.slice(from, from + limit).map((id) => this.findReadable(id)));
        // It may have another status by now.
        const isWanted = (record: RenderRecord) => status === undefined || record.status === status;
        found.push(...records.filter((record) => record !== undefined).filter(isWanted));
      }
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  }

  /** One command for all of them: of thousands of renders few may have the status. */
  async #thoseIn(status: RenderStatus, ids: readonly string[]): Promise<string[]> {
    return (await this.redis.eval(THOSE_IN_STATUS, 0, recordKey(''), JSON.stringify(status), ...ids)) as string[];
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
