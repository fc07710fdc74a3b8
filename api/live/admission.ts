import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { measuredCost, type StreamKind, streamsOn } from '../../shared/workers/placement.ts';
import type { LiveDispatcher } from './dispatch.ts';
import { freeStreams, NOWHERE, type StreamOwner, type StreamSlots } from './slots.ts';

/** Often enough that a slot survives when Redis is away for a few seconds. */
const RENEW_EVERY_MS = 3000;

/** GPUs among which a stream looks for room first; in a large farm it need not ask all of them. */
const MOST_RANKED = 16;

/** A stream's place on the farm. */
export interface StreamPlace {
  /** The GPU that the place is on; undefined while no GPU can render the stream's model. */
  readonly gpuId: number | undefined;
  /** Keeps the place until it is given back; `whereNow` says which GPU the stream's frames come from. */
  keep(whereNow: () => number | undefined): void;
  leave(): void;
}

/** Admits as many live streams as the GPUs can render as quickly as they are shown. */
export class StreamAdmission {
  readonly #slots: StreamSlots;
  readonly #dispatcher: LiveDispatcher;
  readonly #fixed: number;
  readonly #log: RepeatLog;

  constructor(slots: StreamSlots, dispatcher: LiveDispatcher, { config, log }: { config: Config; log: RepeatLog }) {
    this.#log = log;
    this.#slots = slots;
    this.#dispatcher = dispatcher;
    this.#fixed = config.live.max_streams_per_gpu;
  }

  /**
   * A place on the GPU that suits the stream best and has room. While no GPU can render the model, the stream is
   * admitted without one and waits for a worker, as unary requests do; for its API key it counts all the same. The place
   * is free again once `signal` is aborted.
   * @throws FarmError `capacity_full` with what is in use; `key_limit_reached`.
   */
  async admit(stream: StreamKind, owner: StreamOwner, signal: AbortSignal): Promise<StreamPlace> {
    const lately = await this.#take(stream, await this.#dispatcher.able(stream.modelId, 'lately'), owner);
    const { slotId, gpuId } = lately ?? (await this.#takeNow(stream, owner));
    const place = this.#place(stream, slotId, gpuId === NOWHERE.gpuId ? undefined : gpuId);
    signal.addEventListener('abort', () => place.leave(), { once: true });
    if (signal.aborted) place.leave();
    return place;
  }

  /** A slot by what the workers say now: a GPU may have been resumed a moment ago, or a model measured. */
  async #takeNow(stream: StreamKind, owner: StreamOwner) {
    const gpuIds = await this.#dispatcher.able(stream.modelId, 'now');
    const slot = await (gpuIds.length > 0 ? this.#take(stream, gpuIds, owner) : this.#slots.take([NOWHERE], owner));
    if (!slot) throw await this.#full(stream, gpuIds);
    return slot;
  }

  /** A slot on one of these GPUs; undefined when none has room. */
  async #take(stream: StreamKind, gpuIds: readonly number[], owner: StreamOwner) {
    if (gpuIds.length === 0) return undefined;
    const takeOneOf = async (some: readonly number[]) => {
      const ranked = await this.#dispatcher.rank(stream.modelId, some, MOST_RANKED);
      return await this.#slots.take(await Promise.all(ranked.map((gpuId) => this.#shareOn(gpuId, stream))), owner);
    };
    for (let left = gpuIds; ; left = await this.#withRoom(stream, gpuIds)) {
      const slot = await takeOneOf(left);
      // Where there are more, other streams may have taken the room of those that were asked.
      if (slot || left.length <= MOST_RANKED) return slot;
    }
  }

  /** Those of the GPUs that have room for such a stream. */
  async #withRoom(stream: StreamKind, gpuIds: readonly number[]): Promise<number[]> {
    const usage = await this.#slots.usage();
    const shares = await Promise.all(gpuIds.map((gpuId) => this.#shareOn(gpuId, stream)));
    return shares.flatMap(({ gpuId, share }) => (freeStreams(1 / share, usage.get(gpuId)) > 0 ? gpuId : []));
  }

  #place(stream: StreamKind, slotId: string, gpuId: number | undefined): StreamPlace {
    let renewal: Repeated | undefined;
    let left = false;
    return {
      gpuId,
      keep: (whereNow) => {
        const renew = async () => {
          const now = whereNow();
          await this.#slots.renew(slotId, now === undefined ? NOWHERE : await this.#shareOn(now, stream));
        };
        if (left) return;
        renewal = repeat(renew, { name: "renew a stream's place", everyMs: RENEW_EVERY_MS, log: this.#log });
      },
      leave: () => {
        left = true;
        const release = async () => {
          await renewal?.stop();
          await this.#slots.release(slotId);
        };
        release().catch(ignored('a slot that could not be given back expires within seconds'));
      },
    };
  }

  async #shareOn(gpuId: number, stream: StreamKind) {
    let heartbeats = await this.#dispatcher.heartbeats();
    // Its model may have been loaded and measured a moment ago: else the stream would take a whole GPU.
    const isMeasured = this.#fixed > 0 || measuredCost(heartbeats, gpuId, stream.modelId);
    if (!isMeasured) heartbeats = await this.#dispatcher.heartbeats('now');
    return { gpuId, share: 1 / streamsOn(heartbeats, gpuId, stream, this.#fixed) };
  }

  async #full(stream: StreamKind, gpuIds: readonly number[]): Promise<FarmError> {
    const { modelId } = stream;
    const [usage, heartbeats] = await Promise.all([this.#slots.usage(), this.#dispatcher.heartbeats()]);
    const gpus = gpuIds.map((gpuId) => {
      const perGpu = streamsOn(heartbeats, gpuId, stream, this.#fixed);
      const used = usage.get(gpuId);
      return { gpuId, perGpu, used: used?.streams ?? 0, free: freeStreams(perGpu, used) };
    });
    const free = gpus.reduce((sum, gpu) => sum + gpu.free, 0);
    const parts = gpus.map(
      ({ gpuId, perGpu, used }) => `GPU ${gpuId} holds ${used}, at most ${perGpu} of "${modelId}"`,
    );
    return new FarmError(
      'capacity_full',
      `No room for another stream of "${modelId}". Free capacity of the farm: ${free} streams; ${parts.join('; ')}`,
    );
  }
}
