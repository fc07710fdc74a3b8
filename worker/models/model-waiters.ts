import { FarmError } from '../../shared/errors/farm-error.ts';
import type { ModelSlot, ModelUse, UseKind } from './model-slot.ts';

export interface UseOptions {
  readonly kind: UseKind;
  readonly signal: AbortSignal;
  /** How long it waits for its model's load to begin, in ms; for ever when absent. */
  readonly waitMs?: number | undefined;
}

/** A request for a model that is not in memory, or whose slot does not admit it. */
export interface Waiter extends UseOptions {
  readonly modelId: string;
  /** By performance.now(). */
  readonly askedAtMs: number;
  readonly granted: PromiseWithResolvers<ModelUse>;
}

/**
 * Requests that wait for a model, first come, first served. One leaves when it is granted or refused, when its signal
 * is aborted, or when its time is over before its load has begun.
 */
export class ModelWaiters {
  readonly #waiting: Waiter[] = [];
  readonly #onLeave: () => void;
  readonly #whyNot: (modelId: string) => string;
  /** The model that is being loaded now. */
  loading: string | undefined;

  /**
   * @param onLeave called when a request was aborted or ran out of time.
   * @param whyNot says why a model is not in memory yet, for the error of a request whose time is over.
   */
  constructor(onLeave: () => void, whyNot: (modelId: string) => string) {
    this.#onLeave = onLeave;
    this.#whyNot = whyNot;
  }

  get first(): Waiter | undefined {
    return this.#waiting[0];
  }

  /** Models that requests wait for. */
  get modelIds(): Set<string> {
    return new Set(this.#waiting.map(({ modelId }) => modelId));
  }

  /**
   * Waits to be granted a use.
   * @throws the signal's reason; what it is refused with; FarmError `deadline_exceeded` after `waitMs`.
   */
  async add(modelId: string, options: UseOptions): Promise<ModelUse> {
    const { signal, waitMs } = options;
    const waiter: Waiter = {
      ...{ modelId, ...options },
      askedAtMs: performance.now(),
      granted: Promise.withResolvers(),
    };
    this.#waiting.push(waiter);
    const leave = (reason: unknown) => {
      if (this.#take(waiter)) waiter.granted.reject(reason);
      this.#onLeave();
    };
    const abort = () => leave(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const giveUp = () => {
      if (this.loading !== modelId) leave(this.#overdue(waiter));
    };
    const timer = waitMs === undefined ? undefined : setTimeout(giveUp, waitMs);
    try {
      return await waiter.granted.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  /** Grants the model to all requests for it that its slot admits. */
  grant(slot: ModelSlot, toUse: (waiter: Waiter) => ModelUse): void {
    for (const waiter of this.#of(slot.modelId)) {
      if (!slot.admits(waiter.kind)) continue;
      this.#take(waiter);
      waiter.granted.resolve(toUse(waiter));
    }
  }

  /** Refuses all requests for a model. */
  refuse(modelId: string, reason: unknown): void {
    for (const waiter of this.#of(modelId)) {
      this.#take(waiter);
      waiter.granted.reject(reason);
    }
  }

  /** Refuses the requests whose time ran out while their model was being loaded in vain. */
  refuseOverdue(): void {
    for (const waiter of [...this.#waiting]) {
      if (performance.now() < waiter.askedAtMs + (waiter.waitMs ?? Infinity)) continue;
      this.#take(waiter);
      waiter.granted.reject(this.#overdue(waiter));
    }
  }

  /** Refuses all requests. */
  clear(reason: unknown): void {
    for (const waiter of this.#waiting.splice(0)) waiter.granted.reject(reason);
  }

  #of(modelId: string): Waiter[] {
    return this.#waiting.filter((waiter) => waiter.modelId === modelId);
  }

  #take(waiter: Waiter): boolean {
    const place = this.#waiting.indexOf(waiter);
    if (place >= 0) this.#waiting.splice(place, 1);
    return place >= 0;
  }

  #overdue({ modelId }: Waiter): FarmError {
    return new FarmError('deadline_exceeded', `Model ${modelId} found no room in time: ${this.#whyNot(modelId)}`);
  }
}
