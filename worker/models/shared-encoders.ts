/** Audio encoders by file: models that name the same file share a session. */

import type { AudioKind } from '../../shared/sound/audio-kinds.ts';
import type { RunSettings } from '../onnx/onnx-session.ts';
import { type OpenEncoder, openEncoder } from '../onnx/open-encoder.ts';
import type { AudioEncoder } from '../pipeline/contract.ts';
import { type FileFingerprint, fingerprintNetwork, versionOfNetwork } from './file-fingerprint.ts';
import type { MemoryProbe } from './memory-probe.ts';

/** One model's hold on an encoder. */
export interface EncoderLease {
  readonly encoder: AudioEncoder;
  /** Its own first, then those of its weights. */
  readonly files: readonly FileFingerprint[];
  /** The encoder's memory in bytes, divided by the number of models that hold it now. */
  readonly memoryBytes: number;
  /** Ends this hold, and with the last hold the session. Calling it again does nothing. */
  release(): Promise<void>;
}

interface HeldEncoder {
  readonly encoder: OpenEncoder;
  readonly files: readonly FileFingerprint[];
  readonly memoryBytes: number;
}

interface Entry {
  readonly opening: Promise<HeldEncoder>;
  /** Leases that are held, or that wait for the encoder to open. */
  holders: number;
}

/** Invariant: an encoder is open while, and only while, someone holds it. A failed open is forgotten. */
export class SharedEncoders {
  readonly #settings: RunSettings;
  readonly #memory: MemoryProbe;
  /** By version of the file: a file that was replaced is opened again, while models still hold the old one. */
  readonly #entries = new Map<string, Entry>();

  constructor(settings: RunSettings, memory: MemoryProbe) {
    this.#settings = settings;
    this.#memory = memory;
  }

  /**
   * Opens an encoder, or shares the one that is open.
   * @param kind of the features that it makes.
   * @throws FarmError as openEncoder does.
   */
  async acquire(path: string, kind: AudioKind): Promise<EncoderLease> {
    // A path that cannot be read has no version: #open reports why.
    const key = `${kind} ${(await versionOfNetwork(path)) || path}`;
    const entry = this.#entries.get(key) ?? { opening: this.#open(path, kind), holders: 0 };
    this.#entries.set(key, entry);
    entry.holders += 1;
    try {
      const { encoder, files, memoryBytes } = await entry.opening;
      let held = true;
      const release = async () => {
        if (!held) return;
        held = false;
        if (this.#leave(key, entry)) await encoder.release();
      };
      const share = () => (held ? memoryBytes / entry.holders : 0);
      return {
        ...{ encoder, files: files.map((file, index) => (index === 0 ? { ...file, path } : file)), release },
        get memoryBytes() {
          return share();
        },
      };
    } catch (thrown) {
      // The first caller that gets the error removes the entry, so that later callers try again.
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw thrown;
    }
  }

  async #open(path: string, kind: AudioKind): Promise<HeldEncoder> {
    const { opened: encoder, bytes } = await this.#memory.measure(path, () => openEncoder(kind, path, this.#settings));
    try {
      return { encoder, files: await fingerprintNetwork(path), memoryBytes: bytes };
    } catch (thrown) {
      await encoder.release();
      throw thrown;
    }
  }

  /** Counts one holder less; true when it was the last, and the entry is removed. */
  #leave(key: string, entry: Entry): boolean {
    entry.holders -= 1;
    return entry.holders === 0 && this.#entries.delete(key);
  }
}
