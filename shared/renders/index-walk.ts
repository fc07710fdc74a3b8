import type { Redis } from 'ioredis';

/** A place in the list of renders: it stays one when the render that was there is removed. */
export interface ListPosition {
  readonly createdAtMs: number;
  readonly renderId: string;
}

/**
 * Ids of renders from newest to oldest, in pieces of up to `pieceSize`; those of one millisecond by their ids.
 * @param indexKey a sorted set of ids by the time at which they were made, in ms.
 * @param after where to go on; from the newest one without it.
 */
export async function* walkNewestFirst(
  redis: Redis,
  indexKey: string,
  pieceSize: number,
  after?: ListPosition,
): AsyncGenerator<string[]> {
  let last = after;
  // Of the renders of the last millisecond, those that were seen before.
  let skip = 0;
  for (;;) {
    const from = last?.createdAtMs ?? '+inf';
    const answer = await redis.zrevrangebyscore(indexKey, from, '-inf', 'WITHSCORES', 'LIMIT', skip, pieceSize);
    const places = Array.from({ length: answer.length / 2 }, (_, index) => ({
      renderId: answer[2 * index] ?? '',
      createdAtMs: Number(answer[2 * index + 1]),
    }));
    const fresh = places.filter((place) => last === undefined || liesBehind(place, last));
    if (fresh.length > 0) yield fresh.map(({ renderId }) => renderId);
    if (places.length < pieceSize) return;
    const end = places.at(-1);
    skip = end?.createdAtMs === last?.createdAtMs ? skip + pieceSize : 0;
    if (fresh.length > 0) last = fresh.at(-1);
  }
}

function liesBehind(place: ListPosition, last: ListPosition): boolean {
  if (place.createdAtMs !== last.createdAtMs) return place.createdAtMs < last.createdAtMs;
  return place.renderId < last.renderId;
}
