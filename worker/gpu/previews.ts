import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { logged } from '../../shared/process/unheard.ts';
import { savePreview } from '../../shared/renders/preview.ts';

interface Shown {
  readonly jpeg: Uint8Array;
  readonly frameIndex: number;
}

/** Writes the latest picture of a render. One that comes while another is being written replaces what waits. */
export class Previews {
  readonly #artifacts: ArtifactStore;
  readonly #renderId: string;
  #next: Shown | undefined;
  #writing: Promise<void> | undefined;

  constructor(artifacts: ArtifactStore, renderId: string) {
    this.#artifacts = artifacts;
    this.#renderId = renderId;
  }

  /** @param picture whose JPEG stays as it is. */
  show(picture: Shown): void {
    this.#next = picture;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when nothing is being written any more: a render that is removed now leaves no picture behind. */
  get written(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }

  async #writeAll(): Promise<void> {
    for (let picture = this.#next; picture; picture = this.#next) {
      this.#next = undefined;
      await savePreview(this.#artifacts, this.#renderId, picture).catch(logged('could not save a preview'));
    }
    this.#writing = undefined;
  }
}
