import type { Redis } from 'ioredis';
import type { LiveJob } from '../../shared/jobs.ts';
import { DirectFrameWriter } from '../../shared/live/direct/direct-writer.ts';
import { FrameLinks } from '../../shared/live/direct/frame-link.ts';
import type { ChannelRun, FrameWriter } from '../../shared/live/frames.ts';
import { RedisFrameWriter } from '../../shared/live/redis-channel.ts';
import type { RepeatLog } from '../../shared/process/repeat.ts';

/** The frame channels of a worker: direct where the job names an address and it can be reached, else over Redis. */
export class FrameChannels {
  readonly #redis: Redis;
  readonly #log: RepeatLog;
  readonly #links = new FrameLinks();
  /** Addresses that were not reached last. */
  readonly #notReached = new Set<string>();

  constructor(redis: Redis, log: RepeatLog) {
    this.#redis = redis;
    this.#log = log;
  }

  /** @param pickup which of the job this is, from 1. */
  writerFor(job: LiveJob, pickup: number, gpuId: number): FrameWriter {
    const { requestId, attempt, frames, direct } = job;
    const run: ChannelRun = { requestId, attempt, pickup, gpuId, frames };
    const overRedis = () => new RedisFrameWriter(this.#redis, run);
    if (!direct) return overRedis();
    const { address, token } = direct;
    const onReached = (fault: Error | undefined) => this.#note(address, fault);
    return new DirectFrameWriter(run, { link: this.#links.to(address), token, overRedis, onReached });
  }

  close(): void {
    this.#links.close();
  }

  /** One line when a front end is no longer reached, and one when it is again. */
  #note(address: string, fault: Error | undefined): void {
    if (!fault) {
      if (this.#notReached.delete(address)) this.#log.info({ address }, 'frames go to the front end directly again');
      return;
    }
    if (this.#notReached.has(address)) return;
    this.#notReached.add(address);
    this.#log.warn(
      { address, reason: fault.message },
      'a front end is not reached, so its frames go over Redis, which is slower: look at live.frame_listen, live.frame_advertise and firewalls',
    );
  }
}
