import type { Redis } from 'ioredis';

/** A place in the list of renders: it stays one when the render that was there is removed. */
export interface ListPosition {
  readonly createdAtMs: number;
  readonly renderId: string;
}

/** When renders were made: from `fromMs` on, and before `toMs`. */
export interface TimeRange {
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** Some of the renders, in the order of the walk. */
export interface Piece {
  readonly places: readonly ListPosition[];
  /** Where the walk goes on; undefined at its end. */
  readonly next: ListPosition | undefined;
}

/**
 * Renders from newest to oldest, in pieces of up to `pieceSize`; those of one millisecond by their ids.
 * @param indexKey a sorted set of ids by the time at which they were made, in ms.
 * @param after where to go on; from the newest one without it.
 */
export async function* walkNewestFirst(
  redis: Redis,
  indexKey: string,
  pieceSize: number,
  after?: ListPosition,
  { fromMs, toMs }: TimeRange = {},
): AsyncGenerator<Piece> {
  let last = after;
  // Of the renders of the last millisecond, those that were seen before.
  let skip = 0;
  const newest = toMs === undefined ? '+inf' : `(${toMs}`;
  for (;;) {
    const isLower = last !== undefined && (toMs === undefined || last.createdAtMs < toMs);
    const from = isLower ? (last as ListPosition).createdAtMs : newest;
    const to = fromMs ?? '-inf';
    const answer = await redis.zrevrangebyscore(indexKey, from, to, 'WITHSCORES', 'LIMIT', skip, pieceSize);
    const found = Array.from({ length: answer.length / 2 }, (_, index) => ({
      renderId: answer[2 * index] ?? '',
      createdAtMs: Number(answer[2 * index + 1]),
    }));
    const places = found.filter((place) => last === undefined || liesBehind(place, last));
    const isEnd = found.length < pieceSize;
    if (places.length > 0) yield { places, next: isEnd ? undefined : places.at(-1) };
    if (isEnd) return;
    const end = found.at(-1);
    skip = end?.createdAtMs === last?.createdAtMs ? skip + pieceSize : 0;
    if (places.length > 0) last = places.at(-1);
  }
}

function liesBehind(place: ListPosition, last: ListPosition): boolean {
  if (place.createdAtMs !== last.createdAtMs) return place.createdAtMs < last.createdAtMs;
  return place.renderId < last.renderId;
}
