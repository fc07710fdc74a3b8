import { limitsOfOwner } from '../../shared/api-keys.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { DiskReserve } from '../../shared/files/disk-reserve.ts';
import type { RenderRecord } from '../../shared/renders/record.ts';
import type { RenderWork, WorkLimits } from '../../shared/renders/work.ts';
import { TryAgain } from '../jobs/job-runner.ts';

/** How soon a render that had no room comes again. */
const SHORTEST_WAIT_MS = 3000;
/** However many wait, they come about so far apart, all together: each look keeps a media worker busy for a moment. */
const APART_MS = 50;

export interface PrepareRoomTools {
  readonly config: Config;
  readonly work: RenderWork;
  readonly disk: DiskReserve;
}

/**
 * Holds renders back that were admitted and have no room yet: how many frames one has is known only when it has been
 * read. They wait, and do not fail.
 */
export class PrepareRoom {
  readonly #tools: PrepareRoomTools;

  constructor(tools: PrepareRoomTools) {
    this.#tools = tools;
  }

  /**
   * Before the upload is read. FarmError('storage_full') below the disk reserve; TryAgain while its frames
   * would be too many.
   */
  async waitUnlessFree(record: RenderRecord): Promise<void> {
    const { work, disk } = this.#tools;
    await disk.refuseIfShort();
    if (!(await work.mayBegin(record.renderId, record.owner, this.#limitsOf(record)))) throw await this.#later();
  }

  /** Takes the frames of a plan into account, or throws TryAgain. */
  async take(record: RenderRecord, frames: number): Promise<void> {
    if (!(await this.#tools.work.claim(record.renderId, record.owner, frames, this.#limitsOf(record)))) {
      throw await this.#later();
    }
  }

  #limitsOf({ owner }: RenderRecord): WorkLimits {
    const { limits, auth } = this.#tools.config;
    return {
      frames: limits.max_unfinished_frames,
      ownFrames: limitsOfOwner(auth.keys, owner).unfinishedFrames,
    };
  }

  async #later(): Promise<TryAgain> {
    const { waitingRenders } = await this.#tools.work.totals();
    const spreadMs = 2 * Math.max(SHORTEST_WAIT_MS, waitingRenders * APART_MS);
    const full = new FarmError('queue_full', 'As many frames are unfinished as there may be');
    return new TryAgain(Date.now() + SHORTEST_WAIT_MS + Math.random() * spreadMs, full);
  }
}
