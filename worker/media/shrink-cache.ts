import type { DiskReserve } from '../../shared/files/disk-reserve.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import type { SegmentCache } from '../../shared/segments/segment-cache.ts';

const LOOK_EVERY_MS = 10_000;

/** Has kept segments go while the disk has less free than limits.disk_reserve_gb: before a render is refused for it. */
export function startShrinking(cache: SegmentCache, disk: DiskReserve, log: RepeatLog): Repeated {
  const look = async () => {
    const bytes = await disk.missingBytes();
    const gone = bytes > 0 ? await cache.shrink(bytes) : 0;
    if (gone > 0) log.info({ segments: gone, bytes }, 'kept segments were removed: the disk is short of room');
  };
  return repeat(look, { name: 'have kept segments give way', everyMs: LOOK_EVERY_MS, log });
}
