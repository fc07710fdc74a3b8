import type { Redis } from 'ioredis';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { SPENT_KEY } from '../../shared/renders/keys.ts';
import type { RenderStore } from '../../shared/renders/store.ts';

const SWEEP_EVERY_MS = 5000;
/** Redis brings what it knows to the disk every second; a busy disk takes longer. */
const ON_DISK_AFTER_S = 4;
const AT_ONCE = 100;

/**
 * Removes what a completed render no longer needs: its uploads, sounds, segments,
 * preview and what was made of footage. It does so some seconds late: Redis
 * may lose its last second when the machine loses power, and a render that is then unfinished again still finds what it
 * is made from.
 */
export class SpentFiles {
  readonly #redis: Redis;
  readonly #renders: RenderStore;
  readonly #artifacts: ArtifactStore;

  constructor(redis: Redis, renders: RenderStore, artifacts: ArtifactStore) {
    this.#redis = redis;
    this.#renders = renders;
    this.#artifacts = artifacts;
  }

  /** Call it before the render is completed: its files are then removed even if this process ends right after that. */
  async announce(renderId: string): Promise<void> {
    await this.#redis.zadd(SPENT_KEY, await this.#nowS(), renderId);
  }

  /** Removes what is due every few seconds, for the whole farm. */
  sweepAlways(log: RepeatLog): Repeated {
    return repeat(() => this.#sweep(), { name: 'remove files of completed renders', everyMs: SWEEP_EVERY_MS, log });
  }

  async #sweep(): Promise<void> {
    const dueBeforeS = (await this.#nowS()) - ON_DISK_AFTER_S;
    const due = await this.#redis.zrangebyscore(SPENT_KEY, '-inf', dueBeforeS, 'LIMIT', 0, AT_ONCE);
    for (const renderId of due) {
      const record = await this.#renders.findReadable(renderId);
      // Its last step is still on its way.
      if (record?.status === 'stitching') continue;
      if (record?.status === 'completed') await this.#removeParts(renderId);
      // One that is not completed after all is announced again when it is.
      await this.#redis.zrem(SPENT_KEY, renderId);
    }
  }

  async #removeParts(renderId: string): Promise<void> {
    const { segmentFolder, samples, sound, voices, upload, preview } = artifactKeys;
    const { footageFolder, footageVideo, footageMarks } = artifactKeys;
    const parts = [segmentFolder, samples, sound, voices, upload, preview, footageFolder, footageVideo, footageMarks];
    for (const key of parts) await this.#artifacts.remove(key(renderId));
  }

  /** By the clock of Redis: the hosts of a farm may disagree. */
  async #nowS(): Promise<number> {
    const [seconds] = await this.#redis.time();
    return Number(seconds);
  }
}
