import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { makeDataFolder } from '../data-folder.ts';
import { FarmError } from '../errors.ts';
import { ifMissing, ignored } from '../process/unheard.ts';
import { KEY_PREFIX } from '../redis.ts';
import { INDEX_KEY } from '../renders/keys.ts';
import { linkOnce } from './link-once.ts';

/**
 * A farm has one Redis and one data folder, and both carry its id: so a process that was given the Redis of one farm and
 * the folder of another, or a folder whose volume is not mounted, is refused before it reads or removes anything.
 */

const FARM_ID_KEY = `${KEY_PREFIX}:id`;
const FILE_NAME = 'farm.id';
const FORM = /^farm-[0-9a-f]{12}$/;
/** A network file system may show a new file to other hosts a moment later. */
const LOOKS = 5;
const LOOK_EVERY_MS = 300;

export interface IdentityLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Where the id of a farm lies in its data folder. */
const farmIdPath = (storageRoot: string) => path.join(storageRoot, FILE_NAME);

/**
 * The id of the farm that this Redis and this folder belong to. Both get one the first time; a Redis that knows no farm,
 * since it is new or lost what it held, gets that of the folder.
 * FarmError: `farm_mismatch` when they belong to two farms, `storage_unmarked` when the Redis belongs to a farm and the
 * folder to none, `storage_failed`, `redis_unavailable`.
 */
export async function confirmFarm(redis: Redis, storageRoot: string, log: IdentityLog): Promise<string> {
  const known = await redis.get(FARM_ID_KEY);
  const marked = await markOf(storageRoot, known !== null);
  if (known === null && marked !== undefined) {
    log.warn(
      { farm: marked },
      'Redis knew no farm: it is new, or has lost what it held. It is taken over with the data folder; renders from before are not known any more',
    );
  }
  if (known !== null && marked === undefined) throw unmarked(redis, storageRoot, `belongs to farm ${known}`, known);
  const here = marked ?? (await newMark(redis, storageRoot, log));
  await redis.set(FARM_ID_KEY, here, 'NX');
  const there = await redis.get(FARM_ID_KEY);
  if (there !== here) throw mismatch(redis, storageRoot, String(there), here);
  return here;
}

/**
 * Confirms it again whenever the connection to Redis is there again: another Redis may answer by then.
 * @param onOther called with the FarmError when it is one of another farm.
 */
export function confirmAfterReconnects(
  redis: Redis,
  storageRoot: string,
  log: IdentityLog,
  onOther: (error: FarmError) => void,
): void {
  redis.on('ready', () => {
    confirmFarm(redis, storageRoot, log).catch((thrown: unknown) => {
      const error = FarmError.from(thrown);
      if (error.code === 'farm_mismatch' || error.code === 'storage_unmarked') onOther(error);
      else log.warn({ reason: error.message }, 'could not confirm that Redis and the data folder are of one farm');
    });
  });
}

/**
 * Whether Redis and the folder still carry the same id; false when either has none. Nothing is changed.
 * FarmError: `redis_unavailable`, `storage_failed`.
 */
export async function isSameFarm(redis: Redis, storageRoot: string): Promise<boolean> {
  const [known, marked] = [await redis.get(FARM_ID_KEY), await readMark(storageRoot)];
  return known !== null && known === marked;
}

/** @param expected whether there should be one: then a folder without it is looked at again for a moment. */
async function markOf(storageRoot: string, expected: boolean): Promise<string | undefined> {
  for (let look = 1; ; look++) {
    const mark = await readMark(storageRoot);
    if (mark !== undefined || !expected || look === LOOKS) return mark;
    await delay(LOOK_EVERY_MS);
  }
}

/** The folder comes first and Redis after it: a Redis with an id beside a folder without one is never a new farm. */
async function newMark(redis: Redis, storageRoot: string, log: IdentityLog): Promise<string> {
  await refuseLostFolder(redis, storageRoot);
  const draft = `${farmIdPath(storageRoot)}.${randomUUID()}`;
  try {
    await makeDataFolder(storageRoot);
    const id = `farm-${randomBytes(6).toString('hex')}`;
    await writeFile(draft, `${id}\n`);
    if (await linkOnce(draft, farmIdPath(storageRoot))) log.info({ farm: id }, 'the farm has got its id');
  } catch (error) {
    throw unusable(storageRoot, error);
  } finally {
    await rm(draft, { force: true }).catch(ignored('a draft beside the file does no harm'));
  }
  // Of several processes at once, one has made it.
  const mark = await readMark(storageRoot);
  if (mark === undefined) throw unusable(storageRoot, new Error(`${FILE_NAME} went away again`));
  return mark;
}

/** A farm of a version without ids: where its Redis lists renders, its folder has their files. */
async function refuseLostFolder(redis: Redis, storageRoot: string): Promise<void> {
  const renders = await redis.zcard(INDEX_KEY);
  if (renders === 0) return;
  const held = await readdir(storageRoot).catch(ifMissing<string[]>([]));
  if (!held.includes('renders')) throw unmarked(redis, storageRoot, `lists ${renders} renders`, undefined);
}

async function readMark(storageRoot: string): Promise<string | undefined> {
  const text = await readFile(farmIdPath(storageRoot), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw unusable(storageRoot, error);
  });
  if (text === undefined) return undefined;
  const mark = text.trim();
  if (FORM.test(mark)) return mark;
  throw new FarmError(
    'storage_failed',
    `${farmIdPath(storageRoot)} holds ${JSON.stringify(mark.slice(0, 40))}, which is not the id of a farm`,
  );
}

function mismatch(redis: Redis, storageRoot: string, there: string, here: string): FarmError {
  return new FarmError(
    'farm_mismatch',
    `The Redis at ${addressOf(redis)} belongs to farm ${there}, and the data folder ${storageRoot} to farm ${here}. ` +
      `If they do belong together, write ${there} into ${farmIdPath(storageRoot)}`,
  );
}

function unmarked(redis: Redis, storageRoot: string, why: string, id: string | undefined): FarmError {
  const mark = id
    ? `write ${id} into ${farmIdPath(storageRoot)}`
    : `make the folder ${path.join(storageRoot, 'renders')}`;
  return new FarmError(
    'storage_unmarked',
    `The Redis at ${addressOf(redis)} ${why}, and the data folder ${storageRoot} holds nothing of it: its volume may ` +
      `not be mounted, or the Redis is another farm's. If the folder is the right one, ${mark}`,
  );
}

/** Without the password. */
function addressOf({ options: { host, port, db } }: Redis): string {
  return `${host}:${port}${db ? `/${db}` : ''}`;
}

function unusable(storageRoot: string, cause: unknown): FarmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FarmError('storage_failed', `The data folder ${storageRoot} cannot be used: ${reason}`, { cause });
}
