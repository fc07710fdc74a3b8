import { FarmError } from '../../shared/errors/farm-error.ts';
import type { RenderSpec, SubmitRenderRequest } from './messages/farm.ts';

type Next = Promise<IteratorResult<SubmitRenderRequest>>;

/** Reads a stream of sounds: of each its spec, then the pieces of its file. */
export class UploadReader {
  readonly #messages: AsyncIterator<SubmitRenderRequest>;
  /** Asked for and not taken: a call that breaks off breaks whoever looks for the next message, too. */
  #next: Next | undefined;
  #hasBegun = false;

  constructor(messages: AsyncIterator<SubmitRenderRequest>) {
    this.#messages = messages;
  }

  /**
   * The next spec, behind what is left of the sound before it; undefined at the end.
   * FarmError('request_invalid') for a stream that begins with none.
   */
  async spec(): Promise<RenderSpec | undefined> {
    for (;;) {
      const next = this.#peek();
      const { done, value } = await next;
      if (done && this.#hasBegun) return undefined;
      if (done || !(value.part === 'spec' || (value.part === 'audio' && this.#hasBegun))) {
        throw unexpected('First', done ? 'the end' : value.part, 'spec');
      }
      this.#take(next);
      this.#hasBegun = true;
      if (value.part === 'spec') return value.spec;
    }
  }

  /** The pieces of the sound up to the next spec. FarmError('request_invalid') for an empty message. */
  async *audio(): AsyncGenerator<Buffer> {
    for (;;) {
      const next = this.#peek();
      const { done, value } = await next;
      if (done || value.part === 'spec') return;
      if (value.part !== 'audio') throw unexpected('Later', value.part, 'audio');
      this.#take(next);
      if (value.audio.length > 0) yield value.audio;
    }
  }

  /** FarmError('request_invalid') unless the stream has ended. @param expected what else might have come, in words. */
  async refuseMore(expected: string): Promise<void> {
    const { done, value } = await this.#peek();
    if (!done) throw unexpected('Later', value.part, expected);
  }

  /** Whether a piece of a sound comes next. */
  async hasAudio(): Promise<boolean> {
    const { done, value } = await this.#peek();
    return !done && value.part === 'audio';
  }

  #peek(): Next {
    this.#next ??= this.#messages.next();
    return this.#next;
  }

  /** Whoever reads a sound that was given up may still wait for the message that another one takes. */
  #take(next: Next): void {
    if (this.#next === next) this.#next = undefined;
  }
}

function unexpected(which: string, part = 'an empty message', expected: string): FarmError {
  return new FarmError('request_invalid', `${which} message of the upload: got ${part}, expected ${expected}`);
}
