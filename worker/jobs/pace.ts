/** How fast a job goes on, by what it has said of its progress. */
export class Pace {
  #first: { readonly percent: number; readonly atMs: number } | undefined;
  #last = { percent: 0, atMs: 0 };

  /** @param percent done; what comes before the first part is done, such as loading a model, says nothing of the rest. */
  note(percent: number, atMs: number = performance.now()): void {
    if (percent <= 0) return;
    this.#first ??= { percent, atMs };
    this.#last = { percent, atMs };
  }

  /** Ms until it is done if it goes on like this; undefined while nobody can tell. */
  leftMs(nowMs: number = performance.now()): number | undefined {
    if (!this.#first || this.#last.percent <= this.#first.percent) return undefined;
    const msPerPercent = (this.#last.atMs - this.#first.atMs) / (this.#last.percent - this.#first.percent);
    return (100 - this.#last.percent) * msPerPercent - (nowMs - this.#last.atMs);
  }
}
