import type { LocalFiles } from '../artifacts/store.ts';
import { unexpected } from '../process/unheard.ts';

/** A copy that nobody uses stays for so long: the next segment of the render follows. */
const UNUSED_MS = 60_000;

interface Copy {
  readonly files: Promise<LocalFiles>;
  users: number;
  ending?: NodeJS.Timeout;
}

type CopyOut = (keys: readonly string[], folder: string, signal?: AbortSignal) => Promise<LocalFiles>;

/** Copies of folders whose content is settled, each made once for all who use it in this process at about the same time. */
export class LastingCopies {
  readonly #copyOut: CopyOut;
  readonly #copies = new Map<string, Copy>();

  constructor(copyOut: CopyOut) {
    this.#copyOut = copyOut;
  }

  /** The folder, and the same files beside it each time. */
  async take(folder: string, keys: readonly string[], signal?: AbortSignal): Promise<LocalFiles> {
    const copy = this.#copies.get(folder) ?? { files: this.#copyOut(keys, folder, signal), users: 0 };
    this.#copies.set(folder, copy);
    clearTimeout(copy.ending);
    copy.users++;
    try {
      const files = await copy.files;
      return { path: (key) => files.path(key), [Symbol.asyncDispose]: async () => this.#leave(folder, copy) };
    } catch (error) {
      if (this.#copies.get(folder) === copy) this.#copies.delete(folder);
      throw error;
    }
  }

  #leave(folder: string, copy: Copy): void {
    if (--copy.users > 0) return;
    const end = async () => {
      this.#copies.delete(folder);
      await (await copy.files)[Symbol.asyncDispose]();
    };
    copy.ending = setTimeout(() => end().catch(unexpected), UNUSED_MS).unref();
  }
}
