import { type NewRender, submitRender } from '../farm.ts';
import { keepSound } from '../sounds.ts';
import { TEXTS } from '../texts.ts';
import { faultText } from '../view.ts';

/** A new render on its way to the farm; once it is there, its page opens. */
export class Sending {
  readonly #changed: () => void;
  /** Sent so far; undefined while nothing is being sent. */
  #percent: number | undefined;
  /** Why the last one could not be sent; empty: it could. */
  fault = '';

  /** @param changed draws the form again. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get isBusy(): boolean {
    return this.#percent !== undefined;
  }

  /** Of the button that sends. */
  label(submit: string): string {
    return this.#percent === undefined ? submit : TEXTS.make.sending(this.#percent);
  }

  /** @param newRender makes what is sent. */
  async send(newRender: () => NewRender | Promise<NewRender>): Promise<void> {
    this.fault = '';
    this.#tell(0);
    try {
      const render = await newRender();
      const { id } = await submitRender(render, (part) => this.#tell(Math.floor(100 * part)));
      keepSound(id, render.sound);
      location.hash = `/renders/${id}`;
    } catch (thrown) {
      this.#percent = undefined;
      this.fail(thrown);
    }
  }

  fail(thrown: unknown): void {
    this.fault = faultText(thrown);
    this.#changed();
  }

  #tell(percent: number): void {
    this.#percent = percent;
    this.#changed();
  }
}
