/** Prepares the pictures of an avatar that are not prepared yet, beside all other work. */

import { randomInt } from 'node:crypto';
import { setImmediate as othersFirst } from 'node:timers/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Logger } from '../../shared/process/log.ts';
import { logged } from '../../shared/process/unheard.ts';
import { noteUnwritable } from './prepared-files.ts';
import type { PreparedPictures } from './prepared-pictures.ts';
import { PreparingProcess } from './preparing-process.ts';

/** Told how far a preparation is. */
export type PreparationLog = Pick<Logger, 'info' | 'warn'>;

export interface PrepareAvatarOptions {
  readonly modelId: string;
  /** Folder of the prepared pictures. */
  readonly folder: string;
  /** What is to stay free on its disk; absent: nothing. */
  readonly reserveGb?: number | undefined;
  /** Processes that work at the same time, ≥ 1. */
  readonly processes: number;
  /** To prepare fewer pixels than this takes less time than to start a process for it. */
  readonly fewPixels: number;
  readonly log: PreparationLog;
}

/** How often the log says how far it is. */
const TELL_EVERY_MS = 10_000;
/** A picture that has ended its process is left to who needs it. After so many something else is wrong. */
const MOST_LOST = 3;

/**
 * Prepares what is missing and tells the log how far it is. Several workers may do so at once: each begins at another
 * picture and leaves out what is there by then. A picture that cannot be used is left to whoever asks for it.
 * @returns when all is there, nothing more can be done, or the signal is aborted. Never throws.
 */
export async function prepareAvatar(
  pictures: PreparedPictures,
  options: PrepareAvatarOptions,
  signal: AbortSignal,
): Promise<void> {
  const { missing } = pictures;
  if (missing.length === 0) return;
  const work = new AvatarWork(pictures, options, signal);
  const pixels = missing.length * pictures.width * pictures.height;
  await (pixels < options.fewPixels ? work.doHere() : work.doInProcesses());
  await pictures.saveHashes();
}

class AvatarWork {
  readonly #pictures: PreparedPictures;
  readonly #options: PrepareAvatarOptions;
  readonly #signal: AbortSignal;
  /** Pictures that nobody has begun. */
  readonly #left: number[];
  readonly #startedAt = performance.now();
  #toldAt = performance.now();
  #lost = 0;

  constructor(pictures: PreparedPictures, options: PrepareAvatarOptions, signal: AbortSignal) {
    this.#pictures = pictures;
    this.#options = options;
    this.#signal = signal;
    const { missing } = pictures;
    const first = randomInt(missing.length);
    this.#left = [...missing.slice(first), ...missing.slice(0, first)];
  }

  async doHere(): Promise<void> {
    for (let index = this.#next(); index !== undefined; index = this.#next()) {
      await this.#pictures.prepare(index).catch(logged('a picture could not be prepared; a request for it says why'));
      await othersFirst();
    }
  }

  async doInProcesses(): Promise<void> {
    const { modelId, processes, log } = this.#options;
    log.info({ model: modelId, ...this.#pictures.share }, 'preparing the pictures of an avatar');
    const count = Math.min(processes, this.#left.length);
    await Promise.all(Array.from({ length: count }, () => this.#doInOne()));
    if (this.#signal.aborted) return;
    const { share } = this.#pictures;
    const facts = { model: modelId, ...share, ms: Math.round(performance.now() - this.#startedAt) };
    const isWhole = share.done === share.total;
    log.info(facts, isWhole ? 'prepared the pictures of an avatar' : 'pictures of an avatar are left unprepared');
  }

  /** One process after the other, should the first be lost. */
  async #doInOne(): Promise<void> {
    while (this.#left.length > 0 && this.#lost < MOST_LOST && !this.#signal.aborted) {
      try {
        await using preparing = new PreparingProcess(this.#options);
        for (let index = this.#next(); index !== undefined; index = this.#next()) await this.#doOne(index, preparing);
      } catch (error) {
        if (this.#signal.aborted) return;
        this.#lost += 1;
        const { modelId, log } = this.#options;
        log.warn(
          { model: modelId, reason: FarmError.from(error).message },
          'a process that prepares pictures was lost',
        );
      }
    }
  }

  async #doOne(index: number, preparing: PreparingProcess): Promise<void> {
    if (this.#pictures.isThereByNow(index)) return;
    const answer = await preparing.prepare(this.#pictures.order(index), this.#signal);
    const { modelId, folder, log } = this.#options;
    if (answer.type === 'done') await this.#pictures.note(index, answer.found);
    else if (answer.type === 'unusable') {
      log.warn({ model: modelId, picture: index, reason: answer.error.message }, 'a picture could not be prepared');
    } else {
      noteUnwritable(folder)(answer.reason);
      this.#left.length = 0;
    }
    if (performance.now() - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = performance.now();
    log.info({ model: modelId, ...this.#pictures.share }, 'preparing the pictures of an avatar');
  }

  #next(): number | undefined {
    return this.#signal.aborted ? undefined : this.#left.shift();
  }
}
