import type { Redis } from 'ioredis';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { DirectFrameWriter } from '../../shared/live/direct/direct-writer.ts';
import { FrameLinks, type OnOffer, type TakeOffer } from '../../shared/live/direct/frame-link.ts';
import type { ChannelRun, FencedOut, FrameWriter } from '../../shared/live/frames.ts';
import { RedisFrameWriter } from '../../shared/live/redis-channel.ts';
import type { RepeatLog } from '../../shared/process/repeat.ts';

/** A worker that takes jobs which front ends offer to it over their connections. */
export interface OfferTaker {
  readonly workerId: string;
  readonly onOffer: OnOffer;
}

/** One run of a job. */
export interface RunOptions {
  /** Which pickup of the job it is, from 1. */
  readonly pickup: number;
  readonly gpuId: number;
  /** Absent for a job from a queue. */
  readonly offer?: TakeOffer | undefined;
  /** Called when its front end says that the run is of no use any more. */
  readonly onFenced?: (fault: FencedOut) => void;
}

/** The frame channels of a worker: direct where the job names an address and it can be reached, else over Redis. */
export class FrameChannels {
  readonly #redis: Redis;
  readonly #log: RepeatLog;
  readonly #links: FrameLinks;
  readonly #workerId: string | undefined;
  /** Addresses that were not reached last. */
  readonly #notReached = new Set<string>();

  constructor(redis: Redis, log: RepeatLog, taker?: OfferTaker) {
    this.#redis = redis;
    this.#log = log;
    this.#workerId = taker?.workerId;
    this.#links = new FrameLinks(taker?.onOffer);
  }

  writerFor(job: LiveJob, { pickup, gpuId, offer, onFenced }: RunOptions): FrameWriter {
    const { requestId, attempt, frames, direct } = job;
    const run: ChannelRun = { requestId, attempt, pickup, gpuId, frames };
    const overRedis = () => new RedisFrameWriter(this.#redis, run);
    if (!direct) return overRedis();
    const { address, token } = direct;
    const onReached = (fault: Error | undefined) => this.#note(address, fault);
    const link = this.#links.to(address);
    const ofRun = { offer, onFenced, overRedis };
    return new DirectFrameWriter(run, { link, token, workerId: this.#workerId, onReached, ...ofRun });
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
