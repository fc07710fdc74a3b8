import { ignored } from '../../shared/process/unheard.ts';
import type { IndexRange } from './contract.ts';

/** Loads something for each of consecutive frames, some of them ahead of the frame that needs it. */
export class LookAhead<T> {
  readonly #load: (frame: number) => Promise<T>;
  readonly #end: number;
  readonly #ahead: number;
  readonly #loading: Promise<T>[] = [];
  #next: number;

  /** @param ahead how many are loaded ahead of the frame that is taken. */
  constructor(load: (frame: number) => Promise<T>, { start, end }: IndexRange, ahead: number) {
    this.#load = load;
    this.#next = start;
    this.#end = end;
    this.#ahead = ahead;
  }

  /** What was loaded for `frame`; every frame is taken once, in order. @throws what its load throws. */
  async take(frame: number): Promise<T> {
    for (; this.#next <= Math.min(frame + this.#ahead, this.#end - 1); this.#next++) {
      const loading = this.#load(this.#next);
      loading.catch(ignored('the take that waits for it reports it'));
      this.#loading.push(loading);
    }
    return await (this.#loading.shift() as Promise<T>);
  }
}
