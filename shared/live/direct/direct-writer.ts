import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorReport } from '../../errors/farm-error.ts';
import { ignored } from '../../process/unheard.ts';
import {
  type ChannelRun,
  FencedOut,
  type FinishedFrame,
  type FrameWriter,
  type LiveSummary,
  type Opened,
} from '../frames.ts';
import { payloadOf } from '../live-payload.ts';
import type { RedisFrameWriter } from '../redis-channel.ts';
import { ANSWER_WITHIN_MS, type FrameLink, NotReached, type TakeOffer } from './frame-link.ts';
import type { LinkRun, RunListener } from './link-run.ts';
import { LAST, type Refusal, WINDOW_BYTES, WIRE_VERSION } from './wire.ts';

/** Waits before each try to get a lost connection back; then the run goes on over Redis. */
const TRY_AGAIN_AFTER_MS = [0, 200];

export interface DirectWriterTools {
  readonly link: FrameLink;
  /** As in the job. */
  readonly token: string;
  /** Of a worker that may be offered jobs over this connection: its id. */
  readonly workerId?: string | undefined;
  /** Absent for a job from a queue. */
  readonly offer?: TakeOffer | undefined;
  /** The same run over Redis, for when the front end cannot be reached. */
  readonly overRedis: () => RedisFrameWriter;
  /** Called when the run goes over Redis, and when the front end was reached. */
  readonly onReached: (fault: NotReached | undefined) => void;
  /** Called when the front end says that the run is of no use any more. */
  readonly onFenced?: ((fault: FencedOut) => void) | undefined;
}

type End = { readonly summary: LiveSummary } | { readonly error: ErrorReport };
/** What is to be sent, in order. */
interface Item {
  readonly what: FinishedFrame | End;
  readonly sent: PromiseWithResolvers<void>;
}
type Answer =
  | { readonly firstFrame: number; readonly parts: Readonly<Record<string, Buffer>> }
  | { readonly refused: Refusal };

/**
 * The worker's end of a direct frame channel. It keeps what the front end has not read yet, so that after a break the
 * run goes on where it was: over a new connection, or over Redis.
 */
export class DirectFrameWriter implements FrameWriter {
  readonly #run: ChannelRun;
  readonly #tools: DirectWriterTools;
  readonly #waiting: Item[] = [];
  /** Sent over this connection, and not read as far as is known. */
  #sent: FinishedFrame[] = [];
  #sentBytes = 0;
  #link: LinkRun | undefined;
  #redis: RedisFrameWriter | undefined;
  #pumping = false;
  #allHasCome = false;
  #closed = false;
  #fault: unknown;
  #changed = Promise.withResolvers<void>();

  constructor(run: ChannelRun, tools: DirectWriterTools) {
    this.#run = run;
    this.#tools = tools;
  }

  async open(): Promise<Opened> {
    try {
      const answer = await this.#connect(true);
      if ('refused' in answer) return { state: answer.refused === 'gone' ? 'gone' : 'over' };
      const payload = payloadOf(answer.parts);
      if (!payload) throw new NotReached('it sent no payload that is known here');
      return { state: 'wanted', payload, firstFrame: Math.max(answer.firstFrame, this.#run.frames.start) };
    } catch (error) {
      if (!(error instanceof NotReached)) throw error;
      return await this.#goOverRedis(error).open();
    }
  }

  async frames(frames: readonly FinishedFrame[]): Promise<void> {
    await this.#send(frames);
  }

  async done(summary: LiveSummary, last: readonly FinishedFrame[]): Promise<void> {
    await this.#send([...last, { summary }]);
  }

  async failed(error: ErrorReport): Promise<void> {
    await this.#send([{ error }]);
  }

  close(): void {
    this.#closed = true;
    this.#link?.leave();
    this.#fail(new FencedOut('The run has ended'));
  }

  async #send(what: readonly (FinishedFrame | End)[]): Promise<void> {
    if (this.#fault) throw this.#fault;
    const items = what.map((each) => ({ what: each, sent: Promise.withResolvers<void>() }));
    this.#waiting.push(...items);
    this.#pump();
    await Promise.all(items.map(({ sent }) => sent.promise));
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#sendAll().catch((fault: unknown) => this.#fail(fault));
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && !this.#fault) {
        if (this.#redis) await this.#sendOverRedis(this.#redis);
        else if (!this.#link) await this.#recover();
        else await this.#sendNext(this.#link);
      }
    } finally {
      // In the same step as the last look at what waits: nothing is added in between.
      this.#pumping = false;
    }
  }

  async #sendNext(link: LinkRun): Promise<void> {
    const [item] = this.#waiting as [Item];
    if (!('frameIndex' in item.what)) {
      await this.#sendEnd(link, item.what);
      return;
    }
    if (this.#sentBytes >= WINDOW_BYTES) {
      await this.#changed.promise;
      return;
    }
    this.#waiting.shift();
    this.#sent.push(item.what);
    this.#sentBytes += item.what.data.length;
    await link.frame(item.what);
    item.sent.resolve();
  }

  async #sendEnd(link: LinkRun, end: End): Promise<void> {
    if ('summary' in end) link.done(end.summary);
    else link.failed(end.error);
    const late = setTimeout(() => this.#tools.link.rest(), ANSWER_WITHIN_MS);
    while (this.#link === link && !this.#allHasCome && !this.#fault) await this.#changed.promise;
    clearTimeout(late);
    if (this.#allHasCome) this.#waiting.shift()?.sent.resolve();
  }

  async #sendOverRedis(redis: RedisFrameWriter): Promise<void> {
    const end = this.#waiting.findIndex(({ what }) => !('frameIndex' in what));
    const items = this.#waiting.slice(0, end < 0 ? undefined : end + 1);
    const frames = items.map(({ what }) => what).filter((what) => 'frameIndex' in what);
    const last = items.at(-1)?.what as FinishedFrame | End;
    if ('summary' in last) await redis.done(last.summary, frames);
    else {
      if (frames.length > 0) await redis.frames(frames);
      if ('error' in last) await redis.failed(last.error);
    }
    this.#waiting.splice(0, items.length);
    for (const { sent } of items) sent.resolve();
  }

  /** Gets a lost connection back, or goes over Redis. */
  async #recover(): Promise<void> {
    let fault = new NotReached('the connection broke');
    for (const waitMs of TRY_AGAIN_AFTER_MS) {
      await delay(waitMs);
      try {
        const answer = await this.#connect(false);
        if ('refused' in answer) this.#refused(answer.refused);
        else this.#forgetBefore(answer.firstFrame);
        return;
      } catch (error) {
        if (!(error instanceof NotReached)) throw error;
        fault = error;
      }
    }
    await this.#goOverRedis(fault).taken();
  }

  #goOverRedis(fault: NotReached): RedisFrameWriter {
    this.#tools.onReached(fault);
    this.#redis = this.#tools.overRedis();
    return this.#redis;
  }

  async #connect(wantsPayload: boolean): Promise<Answer> {
    const { requestId, attempt, pickup, gpuId } = this.#run;
    const { link, token, workerId, offer, onReached } = this.#tools;
    const open = { version: WIRE_VERSION, requestId, token, attempt, pickup, gpuId, wantsPayload, worker: workerId };
    const answered = Promise.withResolvers<Answer>();
    answered.promise.catch(ignored('it is awaited below, unless the connection was lost before'));
    let refusal: Refusal | undefined;
    const listener: RunListener = {
      granted: (firstFrame, parts) => answered.resolve({ firstFrame, parts }),
      refused: (why) => {
        refusal = why;
        answered.resolve({ refused: why });
        if (this.#link === run) this.#refused(why);
      },
      read: (frame) => this.#read(frame),
      lost: () => {
        answered.reject(new NotReached('the connection broke'));
        if (this.#link === run) this.#lost();
      },
    };
    // An offer is taken in the step in which it came; a run of it that was lost goes on as any other.
    const run: LinkRun = wantsPayload && offer ? offer(listener) : await link.open(open, listener);
    const answer = await answered.promise;
    onReached(undefined);
    // It may have come with the grant, in one piece: then nothing more comes for this run.
    if (refusal) return { refused: refusal };
    if ('refused' in answer) return answer;
    if (this.#closed) run.leave();
    this.#link = run;
    return answer;
  }

  #read(frame: number): void {
    if (frame === LAST) this.#allHasCome = true;
    this.#forgetRead(frame);
    this.#wake();
  }

  /** Frames that were read have come whole, so the connection holds nothing of them any more. */
  #forgetRead(frame: number): void {
    for (const { frameIndex, giveBack } of this.#sent) if (frameIndex < frame) giveBack?.();
    this.#sent = this.#sent.filter(({ frameIndex }) => frameIndex >= frame);
    this.#sentBytes = this.#sent.reduce((sum, { data }) => sum + data.length, 0);
  }

  #forgetBefore(frame: number): void {
    const isOld = ({ what }: Item) => 'frameIndex' in what && what.frameIndex < frame;
    while (this.#waiting[0] && isOld(this.#waiting[0])) this.#waiting.shift()?.sent.resolve();
  }

  /** What was sent and may not have come is sent again, before all else. */
  #lost(): void {
    this.#link = undefined;
    const again = this.#sent.map((frame) => ({ what: frame, sent: Promise.withResolvers<void>() }));
    this.#waiting.unshift(...again);
    this.#sent = [];
    this.#sentBytes = 0;
    this.#wake();
    if (!this.#closed) this.#pump();
  }

  #refused(why: Refusal): void {
    this.#link = undefined;
    if (why === 'over') {
      for (const { sent } of this.#waiting.splice(0)) sent.resolve();
      return;
    }
    const fault = new FencedOut(why === 'gone' ? 'The request was given up' : 'A later run has begun');
    this.#fail(fault);
    this.#tools.onFenced?.(fault);
  }

  #fail(fault: unknown): void {
    this.#fault ??= fault;
    for (const { sent } of this.#waiting.splice(0)) {
      sent.promise.catch(ignored('whoever awaits it is told'));
      sent.reject(this.#fault);
    }
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
