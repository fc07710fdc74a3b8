import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { DiskReserve } from '../../shared/files/disk-reserve.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { StoredTotals } from '../../shared/renders/stored-bytes.ts';
import type { RenderWork, WorkTotals } from '../../shared/renders/work.ts';
import { GB } from '../../shared/units.ts';
import type { Caller } from '../access/caller.ts';

export interface RoomTools {
  readonly config: Config;
  readonly store: RenderStore;
  readonly work: RenderWork;
  readonly disk: DiskReserve;
}

/** An upload on its way. */
interface Arrival extends Disposable {
  /** Counts what has come of it. FarmError('storage_full') below the disk reserve. */
  came(bytes: number): Promise<void>;
}

/** Whether the farm has room for another render: disk, renders, frames and uploads, its own and those of the key. */
export class RenderRoom {
  readonly #tools: RoomTools;
  /** What has come of uploads that are on their way to this front end. */
  #arrivingBytes = 0;

  constructor(tools: RoomTools) {
    this.#tools = tools;
  }

  /**
   * FarmError: storage_full below the disk reserve, and when renders take what limits.storage_quota_gb allows;
   * queue_full while the farm has as many unfinished renders, frames or unread uploads as it takes; key_limit_reached while the caller has as much as his key allows.
   * @param uploadBytes as announced; 0: not known.
   */
  async refuseIfFull({ keyName, limits }: Caller, uploadBytes: number): Promise<void> {
    const { store, config, disk, work } = this.#tools;
    await disk.refuseIfShort(uploadBytes);
    const activeCount = await store.countActive();
    if (activeCount >= config.server.queue_size) throw queueFull(activeCount, config.server.queue_size);
    this.#refuseStored(await store.stored.totals(keyName), uploadBytes, keyName, limits.storedBytes);
    this.#refuseWork(await work.totals(keyName), uploadBytes, keyName, limits.unfinishedFrames);
    if (keyName === undefined || limits.unfinishedRenders === 0) return;
    const ownCount = await store.countActive(keyName);
    if (ownCount >= limits.unfinishedRenders) throw limitReached(keyName, ownCount);
  }

  /** An upload that begins to arrive. To be disposed of when it has, or will not. */
  arrival(): Arrival {
    let held = 0;
    return {
      came: async (bytes) => {
        held += bytes;
        this.#arrivingBytes += bytes;
        await this.#tools.disk.refuseIfShort();
      },
      [Symbol.dispose]: () => {
        this.#arrivingBytes -= held;
      },
    };
  }

  /** The refusal of a render when the renders of the farm take as much as they may. */
  storageFull(storedBytes: number): FarmError {
    const { storage_quota_gb: most } = this.#tools.config.limits;
    const text = `${inGb(storedBytes)} GB are stored; with this upload it would be more than limits.storage_quota_gb allows, ${most}`;
    return new FarmError('storage_full', text);
  }

  #refuseStored(totals: StoredTotals, uploadBytes: number, keyName: string | undefined, mostOfKey: number): void {
    const most = this.#tools.config.limits.storage_quota_gb * GB;
    if (most > 0 && totals.bytes + Math.max(1, uploadBytes) > most) throw this.storageFull(totals.bytes);
    if (keyName === undefined || mostOfKey === 0 || totals.ownBytes + Math.max(1, uploadBytes) <= mostOfKey) return;
    throw keyStorageFull(keyName, totals.ownBytes, mostOfKey);
  }

  #refuseWork(totals: WorkTotals, uploadBytes: number, keyName: string | undefined, mostOfKey: number): void {
    const { max_unfinished_frames: mostFrames, max_waiting_uploads_gb: mostGb } = this.#tools.config.limits;
    if (totals.frames >= mostFrames) {
      const text = `${totals.frames} frames are unfinished; limits.max_unfinished_frames allows ${mostFrames}`;
      throw new FarmError('queue_full', text);
    }
    const waitingBytes = totals.uploadBytes + this.#arrivingBytes;
    if (waitingBytes > 0 && waitingBytes + uploadBytes > mostGb * GB) {
      const text = `${inGb(waitingBytes)} GB of uploads wait to be read; limits.max_waiting_uploads_gb allows ${mostGb}`;
      throw new FarmError('queue_full', text);
    }
    if (keyName === undefined || mostOfKey === 0 || totals.ownFrames < mostOfKey) return;
    throw new FarmError(
      'key_limit_reached',
      `${totals.ownFrames} frames of the key "${keyName}" are unfinished; its max_unfinished_frames allows ${mostOfKey}`,
    );
  }
}

/** The refusal of a render while the farm has as many as it takes. @param most server.queue_size. */
export function queueFull(activeCount: number, most: number): FarmError {
  return new FarmError('queue_full', `${activeCount} renders are unfinished; server.queue_size allows ${most}`);
}

/** The refusal of a render of a key that has as many as it may. */
export function limitReached(keyName: string, ownCount: number): FarmError {
  return new FarmError(
    'key_limit_reached',
    `${ownCount} renders of the key "${keyName}" are unfinished, as many as its max_unfinished_renders allows`,
  );
}

/** The refusal of a render of a key whose renders take as much as they may. */
export function keyStorageFull(keyName: string, ownBytes: number, mostBytes: number): FarmError {
  const text = `${inGb(ownBytes)} GB of the key "${keyName}" are stored; with this upload it would be more than its storage_quota_gb allows, ${mostBytes / GB}`;
  return new FarmError('key_limit_reached', text);
}

function inGb(bytes: number): string {
  return (bytes / GB).toFixed(3);
}
