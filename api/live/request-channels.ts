import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import type { DirectChannel, LiveJob } from '../../shared/jobs/jobs.ts';
import { staysOnMachine } from '../../shared/live/direct/address.ts';
import { FrameListener, type ListenSettings } from '../../shared/live/direct/frame-listener.ts';
import { DirectInbox } from '../../shared/live/direct/inbox.ts';
import { WIRE_VERSION } from '../../shared/live/direct/wire.ts';
import type { LivePayload } from '../../shared/live/live-payload.ts';
import type { RepeatLog } from '../../shared/process/repeat.ts';
import type { Placement } from './dispatch.ts';
import { ReadingConnections } from './reading-connections.ts';
import { RequestChannel } from './request-channel.ts';

/** A worker that could not reach this front end is not asked to for so long. */
const REST_MS = 30_000;

export interface RequestChannelsTools {
  readonly redis: Redis;
  readonly log: RepeatLog;
  /** Opens a connection for blocking reads. */
  readonly openReader: () => Redis;
}

/** The frame channels of a front end: direct where the worker can reach it, else over Redis. */
export class RequestChannels {
  readonly redis: Redis;
  readonly readers: ReadingConnections;
  readonly #log: RepeatLog;
  readonly #resting = new Map<string, number>();
  readonly #told = new Set<string>();
  #listener: FrameListener | undefined;

  constructor({ redis, log, openReader }: RequestChannelsTools) {
    this.redis = redis;
    this.readers = new ReadingConnections(openReader);
    this.#log = log;
  }

  /** Lets workers connect from now on; without it all frames come over Redis. */
  async listen(settings: ListenSettings): Promise<string> {
    this.#listener = await FrameListener.start(settings, this.#log);
    return this.#listener.address;
  }

  /** The channel of a request. @param firstFrame the first that is to come. */
  open(requestId: string, payload: LivePayload, firstFrame: number): RequestChannel {
    const inbox = new DirectInbox(requestId, payload, firstFrame);
    this.#listener?.add(inbox);
    return new RequestChannel(inbox, this);
  }

  /** Ends what `open` began. */
  forget(inbox: DirectInbox): void {
    if (this.#listener) this.#listener.remove(inbox);
    else inbox.close();
  }

  /** How this worker gets at the request: undefined is over Redis. */
  directFor({ workerId, host, frameChannel = 0 }: Placement, { token }: DirectInbox): DirectChannel | undefined {
    const address = this.#listener?.address;
    if (!address || frameChannel < WIRE_VERSION) return undefined;
    if (staysOnMachine(address) && host !== hostname()) {
      this.#tell(
        `host ${host}`,
        { host, address },
        'frames of the workers of another host come over Redis, which is slower: set live.frame_listen to an address that they can reach',
      );
      return undefined;
    }
    if (performance.now() < (this.#resting.get(workerId) ?? Number.NEGATIVE_INFINITY)) return undefined;
    return { address, token };
  }

  /** Offers a job to a worker over the connection that it has to this front end; false when there is none for that. */
  offer({ workerId, gpuId }: Placement, inbox: DirectInbox, job: LiveJob): boolean {
    return this.#listener?.offer(workerId, inbox, job, gpuId) ?? false;
  }

  /** Notes that a worker came over Redis although it was given the address. */
  cameOverRedis({ workerId, host }: Placement): void {
    for (const [other, untilMs] of this.#resting) if (untilMs < performance.now()) this.#resting.delete(other);
    this.#resting.set(workerId, performance.now() + REST_MS);
    const address = this.#listener?.address;
    this.#tell(
      `worker ${workerId}`,
      { worker: workerId, host, address },
      'a worker did not reach the frame channel, so its frames come over Redis, which is slower: look at live.frame_advertise and at firewalls between the hosts',
    );
  }

  async close(): Promise<void> {
    this.readers.close();
    await this.#listener?.close();
  }

  /** Once for each of what it is about. */
  #tell(about: string, fields: object, message: string): void {
    if (this.#told.has(about)) return;
    this.#told.add(about);
    this.#log.warn(fields, message);
  }
}
