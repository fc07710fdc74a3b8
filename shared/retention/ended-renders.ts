import type { Redis } from 'ioredis';
import { ACTIVE_KEY, INDEX_KEY, recordKey } from '../renders/keys.ts';
import type { EndedRender } from './leftover.ts';

/** Records that are asked for at a time. */
const PIECE = 200;
const ENDED: ReadonlySet<unknown> = new Set(['completed', 'failed', 'cancelled']);

/** What the records say of renders that have ended. */
export interface RecordFacts {
  readonly ended: EndedRender[];
  /** Ids that are listed and have no record. */
  readonly listedOnly: string[];
}

/**
 * Reads the ends of all renders, by the clock of Redis. A record that says no end that is known here is left out: it
 * runs, or another version of the farm wrote it.
 */
export async function readEnded(redis: Redis): Promise<RecordFacts> {
  const [seconds, micros] = await redis.time();
  const nowMs = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  const ids = [...new Set([...(await redis.zrange(INDEX_KEY, 0, -1)), ...(await redis.smembers(ACTIVE_KEY))])];
  const facts: RecordFacts = { ended: [], listedOnly: [] };
  for (let start = 0; start < ids.length; start += PIECE) {
    const piece = ids.slice(start, start + PIECE);
    const records = await Promise.all(
      piece.map((renderId) => redis.hmget(recordKey(renderId), 'status', 'finishedAtMs')),
    );
    const present = await whichHaveRecords(redis, piece);
    piece.forEach((renderId, index) => {
      const [status, finishedAtMs] = (records[index] ?? []).map(readJson);
      if (!present.has(renderId)) facts.listedOnly.push(renderId);
      else if (ENDED.has(status) && typeof finishedAtMs === 'number') {
        const known = status as EndedRender['status'];
        facts.ended.push({ renderId, status: known, endedAgoMs: nowMs - finishedAtMs });
      }
    });
  }
  return facts;
}

/** Those of these renders that have a record, readable or not. Rejects when Redis does not answer for one of them. */
export async function whichHaveRecords(redis: Redis, renderIds: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (let start = 0; start < renderIds.length; start += PIECE) {
    const piece = renderIds.slice(start, start + PIECE);
    const answers = await Promise.all(piece.map((renderId) => redis.exists(recordKey(renderId))));
    piece.forEach((renderId, index) => {
      if (answers[index] === 1) found.add(renderId);
    });
  }
  return found;
}

function readJson(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return undefined; // Not ours to judge: the record stays.
  }
}
