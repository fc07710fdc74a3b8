/** Frames of concurrent live requests for one model, made in shared runs of its network. */

import { ignored, unexpected } from '../../shared/process/unheard.ts';
import {
  bytesOfMouth,
  type FrameInputs,
  type LipSyncNetwork,
  type MouthForm,
  type MouthFrame,
  type TakeMemory,
} from '../pipeline/contract.ts';
import { newMemory } from '../pipeline/held-memory.ts';
import { NetworkRuns } from '../pipeline/network-runs.ts';
import type { SilentMouths } from '../pipeline/silent-mouths.ts';
import type { Turns } from './turns.ts';

export interface LiveBatchSettings {
  /** Frames in one run of the network, ≥ 1. */
  readonly maxFrames: number;
  /** How long a run that is not full waits for more frames, in ms; 0: not at all. */
  readonly maxWaitMs: number;
  /** Of the mouths; pictures when absent. */
  readonly form?: MouthForm;
  /** For frames in silence; absent: the network runs for all frames. */
  readonly silentMouths?: SilentMouths;
}

export interface LiveSupply<Picture> {
  /** What the frames of the request are made from, in order, gathered as they are asked for. */
  readonly inputs: AsyncGenerator<FrameInputs<Picture>>;
  /** Requests with the same source are served one after the other; different sources take turns, frame by frame. */
  readonly source: string;
  readonly signal: AbortSignal;
  /** Gets each mouth as it is made, in order, and releases its memory. */
  readonly onFrame: (frame: MouthFrame<Picture>) => void;
}

/**
 * Fills each run of the network with the frames that are ready, one from every source after the other. While a run is
 * under way, the frames for the next one become ready anyway; so waiting for more pays only when runs are very short.
 */
export class LiveBatches<Picture> {
  readonly #turns: Turns;
  readonly #settings: LiveBatchSettings;
  readonly #network: NetworkRuns;
  readonly #takeMemory: TakeMemory;
  /** The requests of each source, first come first; sources in the order of their next turn. */
  readonly #sources = new Map<string, Supply<Picture>[]>();
  #turnAsked = false;
  #waiting: NodeJS.Timeout | undefined;

  /** @param takeMemory where the mouths of a run go, `settings.maxFrames` of them; new memory each time when absent. */
  constructor(network: LipSyncNetwork, turns: Turns, settings: LiveBatchSettings, takeMemory?: TakeMemory) {
    this.#turns = turns;
    this.#settings = settings;
    const { maxFrames, form = 'picture', silentMouths } = settings;
    this.#network = new NetworkRuns(network, maxFrames, { form, silentMouths });
    this.#takeMemory = takeMemory ?? newMemory(maxFrames * bytesOfMouth(form, network.size));
  }

  /**
   * Makes the frames of a request; resolves after its last one. The inputs of later frames are gathered while earlier
   * frames are computed, as many as fill a run.
   * @throws `signal.reason` when the signal is aborted, once a run that holds its frames is over; whatever the inputs
   * or the network throw.
   */
  async render(request: LiveSupply<Picture>): Promise<void> {
    const supply = new Supply(request, this.#settings.maxFrames, () => this.#askForTurn());
    const { source } = request;
    this.#sources.set(source, [...(this.#sources.get(source) ?? []), supply]);
    try {
      await supply.done();
    } finally {
      const others = this.#sources.get(source)?.filter((other) => other !== supply) ?? [];
      if (others.length > 0) this.#sources.set(source, others);
      else this.#sources.delete(source);
      this.#askForTurn();
    }
  }

  #askForTurn(): void {
    const ready = this.#readyFrames();
    if (this.#turnAsked || ready === 0) return;
    const { maxFrames, maxWaitMs } = this.#settings;
    if (maxWaitMs === 0 || ready >= maxFrames) this.#takeTurn();
    else this.#waiting ??= setTimeout(() => this.#takeTurn(), maxWaitMs);
  }

  #takeTurn(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    this.#turnAsked = true;
    // Deferred by one tick, so that frames which become ready in this tick share the first run.
    setImmediate(() => this.#turns.run('live', NEVER, () => this.#runOnce()).catch(unexpected));
  }

  #readyFrames(): number {
    let ready = 0;
    for (const [supply] of this.#sources.values()) ready += supply?.ready.length ?? 0;
    return ready;
  }

  async #runOnce(): Promise<void> {
    const chosen = this.#choose();
    try {
      await this.#run(chosen);
    } catch (fault) {
      if (chosen.length === 1) chosen[0]?.supply.fail(fault);
      // One request of the run is at fault. Run each by itself, so that only that one fails.
      else for (const one of chosen) await this.#run([one]).catch((own) => one.supply.fail(own));
    } finally {
      this.#turnAsked = false;
      this.#askForTurn();
    }
  }

  async #run(chosen: readonly Chosen<Picture>[]): Promise<void> {
    if (chosen.length === 0) return;
    const run = this.#makeMouths(chosen);
    for (const { supply } of chosen) supply.inRun = run;
    const mouths = await run;
    for (const [place, { supply }] of chosen.entries()) {
      const mouth = mouths[place];
      if (mouth) supply.deliver(mouth);
    }
  }

  async #makeMouths(chosen: readonly Chosen<Picture>[]): Promise<MouthFrame<Picture>[]> {
    const memory = await this.#takeMemory(NEVER);
    try {
      return await this.#network.run(
        chosen.map(({ frame }) => frame),
        memory,
      );
    } finally {
      memory.release();
    }
  }

  /** One frame of each source that has one ready, round after round until the run is full. */
  #choose(): Chosen<Picture>[] {
    const chosen: Chosen<Picture>[] = [];
    for (let found = true; found && chosen.length < this.#settings.maxFrames; ) {
      found = false;
      for (const [source, supplies] of [...this.#sources]) {
        const [supply] = supplies;
        const frame = supply?.take();
        if (!supply || !frame) continue;
        found = true;
        chosen.push({ supply, frame });
        // This source goes to the end of the line.
        this.#sources.delete(source);
        this.#sources.set(source, supplies);
        if (chosen.length === this.#settings.maxFrames) break;
      }
    }
    return chosen;
  }
}

const NEVER = new AbortController().signal;

interface Chosen<Picture> {
  readonly supply: Supply<Picture>;
  readonly frame: FrameInputs<Picture>;
}

/** One request: its frames, from the gathering of their inputs to their delivery. */
class Supply<Picture> {
  /** Inputs that are gathered and in no run yet. */
  readonly ready: FrameInputs<Picture>[] = [];
  /** The last run that holds frames of this request. */
  inRun: Promise<unknown> = Promise.resolve();
  readonly #request: LiveSupply<Picture>;
  readonly #readyAhead: number;
  readonly #onReady: () => void;
  readonly #failed = Promise.withResolvers<never>();
  /** Frames whose inputs are gathered, and which are not delivered yet. */
  #open = 0;
  #ended = false;
  /** Settles when frames have been taken or delivered, or the request has ended. */
  #moved = Promise.withResolvers<void>();

  /** @param readyAhead frames that are made ready while others are in a run. */
  constructor(request: LiveSupply<Picture>, readyAhead: number, onReady: () => void) {
    this.#request = request;
    this.#readyAhead = readyAhead;
    this.#onReady = onReady;
    this.#failed.promise.catch(ignored('done() waits for it and reports it'));
  }

  /** Gathers the inputs of all frames and resolves when the last one is delivered. */
  async done(): Promise<void> {
    const { signal } = this.#request;
    const abort = () => this.fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      await Promise.race([this.#gatherAll(), this.#failed.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      await this.inRun.catch(ignored('a run that failed has failed this request as well: only its end matters here'));
    }
  }

  take(): FrameInputs<Picture> | undefined {
    const frame = this.ready.shift();
    if (frame) this.#move();
    return frame;
  }

  deliver(frame: MouthFrame<Picture>): void {
    this.#open -= 1;
    if (this.#ended) frame.memory.release();
    else this.#request.onFrame(frame);
    this.#move();
  }

  fail(reason: unknown): void {
    this.#ended = true;
    this.ready.length = 0;
    this.#failed.reject(reason);
    this.#move();
  }

  async #gatherAll(): Promise<void> {
    for await (const frame of this.#request.inputs) {
      if (this.#ended) return;
      this.#open += 1;
      this.ready.push(frame);
      this.#onReady();
      while (this.ready.length >= this.#readyAhead) await this.#moved.promise;
    }
    while (this.#open > 0 && !this.#ended) await this.#moved.promise;
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}
