import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { FarmError } from '../errors/farm-error.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { INDEX_KEY } from '../renders/keys.ts';
import { type FarmMark, MARK_NAME } from './mark.ts';

/**
 * A farm has one Redis and one store, a data folder or a bucket, and both carry its id: so a process that was given the
 * Redis of one farm and the store of another, or a folder whose volume is not mounted, is refused before it reads or removes anything.
 */

const FARM_ID_KEY = `${KEY_PREFIX}:id`;
/** Somebody is writing the id into this store. */
const makingKey = ({ place }: FarmMark) => `${KEY_PREFIX}:id:making:${place}`;
const MAKING_MS = 1000;
const FORM = /^farm-[0-9a-f]{12}$/;
/** A network file system may show a new file to other hosts a moment later. */
const LOOKS = 5;
const LOOK_EVERY_MS = 300;

export interface IdentityLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/**
 * The id of the farm that this Redis and this store belong to. Both get one the first time; a Redis that knows no farm,
 * since it is new or lost what it held, gets that of the store.
 * FarmError: `farm_mismatch` when they belong to two farms, `storage_unmarked` when the Redis belongs to a farm and the
 * store to none, those of the store, `redis_unavailable`.
 */
export async function confirmFarm(redis: Redis, mark: FarmMark, log: IdentityLog): Promise<string> {
  const known = await redis.get(FARM_ID_KEY);
  const marked = await markOf(mark, known !== null);
  // Not when another process of a new farm has just written the id, and has yet to tell Redis.
  if (known === null && marked !== undefined && !(await redis.exists(FARM_ID_KEY, makingKey(mark)))) {
    log.warn(
      { farm: marked },
      `Redis knew no farm: it is new, or has lost what it held. It gets the id of ${mark.place}; renders from before are not known any more`,
    );
  }
  if (known !== null && marked === undefined) throw unmarked(redis, mark, `belongs to farm ${known}`, known);
  const here = marked ?? (await newMark(redis, mark, log));
  await redis.set(FARM_ID_KEY, here, 'NX');
  const there = await redis.get(FARM_ID_KEY);
  if (there !== here) throw mismatch(redis, mark, String(there), here);
  return here;
}

/**
 * Confirms it again whenever the connection to Redis is there again: another Redis may answer by then.
 * @param onOther called with the FarmError when it is one of another farm.
 */
export function confirmAfterReconnects(
  redis: Redis,
  mark: FarmMark,
  log: IdentityLog,
  onOther: (error: FarmError) => void,
): void {
  redis.on('ready', () => {
    confirmFarm(redis, mark, log).catch((thrown: unknown) => {
      const error = FarmError.from(thrown);
      if (error.code === 'farm_mismatch' || error.code === 'storage_unmarked') onOther(error);
      else log.warn({ reason: error.message }, 'could not confirm that Redis and the stored files are of one farm');
    });
  });
}

/**
 * Whether Redis and the folder still carry the same id; false when either has none. Nothing is changed.
 * FarmError: `redis_unavailable`, `storage_failed`.
 */
export async function isSameFarm(redis: Redis, mark: FarmMark): Promise<boolean> {
  const [known, marked] = [await redis.get(FARM_ID_KEY), await readMark(mark)];
  return known !== null && known === marked;
}

/** @param expected whether there should be one: then a folder without it is looked at again for a moment. */
async function markOf(mark: FarmMark, expected: boolean): Promise<string | undefined> {
  for (let look = 1; ; look++) {
    const id = await readMark(mark);
    if (id !== undefined || !expected || look === LOOKS) return id;
    await delay(LOOK_EVERY_MS);
  }
}

/** The store comes first and Redis after it: a Redis with an id beside a store without one is never a new farm. */
async function newMark(redis: Redis, mark: FarmMark, log: IdentityLog): Promise<string> {
  await refuseLostStore(redis, mark);
  // Some servers of buckets know no writing of what is not there yet: so one at a time, as far as this Redis goes.
  const id = `farm-${randomBytes(6).toString('hex')}`;
  if (await redis.set(makingKey(mark), id, 'PX', MAKING_MS, 'NX')) {
    if (await mark.writeOnce(id)) log.info({ farm: id }, 'the farm has got its id');
  }
  // Of several processes at once, one has made it.
  const made = await markOf(mark, true);
  if (made === undefined)
    throw new FarmError('storage_failed', `${mark.place} cannot be used: ${MARK_NAME} went away again`);
  return made;
}

/** A farm of a version without ids: where its Redis lists renders, its store has their files. */
async function refuseLostStore(redis: Redis, mark: FarmMark): Promise<void> {
  const renders = await redis.zcard(INDEX_KEY);
  if (renders > 0 && !(await mark.holdsRenders())) throw unmarked(redis, mark, `lists ${renders} renders`, undefined);
}

async function readMark(mark: FarmMark): Promise<string | undefined> {
  const id = (await mark.read())?.trim();
  if (id === undefined || FORM.test(id)) return id;
  throw new FarmError(
    'storage_failed',
    `${MARK_NAME} in ${mark.place} holds ${JSON.stringify(id.slice(0, 40))}, which is not the id of a farm`,
  );
}

function mismatch(redis: Redis, mark: FarmMark, there: string, here: string): FarmError {
  return new FarmError(
    'farm_mismatch',
    `The Redis at ${addressOf(redis)} belongs to farm ${there}, and ${mark.place} to farm ${here}. ` +
      `If they do belong together, ${mark.howToWrite(there)}`,
  );
}

function unmarked(redis: Redis, mark: FarmMark, why: string, id: string | undefined): FarmError {
  return new FarmError(
    'storage_unmarked',
    `The Redis at ${addressOf(redis)} ${why}, and ${mark.place} holds nothing of it: its volume may ` +
      `not be mounted, or the Redis is another farm's. If it is the right one, ${id ? mark.howToWrite(id) : mark.howToShow}`,
  );
}

/** Without the password. */
function addressOf({ options: { host, port, db } }: Redis): string {
  return `${host}:${port}${db ? `/${db}` : ''}`;
}
