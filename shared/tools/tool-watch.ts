import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Patience } from '../process/patience.ts';
import { progressNoter } from '../process/progress.ts';
import { ignored } from '../process/unheard.ts';
import { madeNoProgress, type Tool, tookTooLong } from './tool-faults.ts';

export interface ToolLimits {
  readonly signal: AbortSignal;
  /** The program is killed after this long. */
  readonly timeoutMs: number;
  /** And when nothing can be seen of it for so long; a minute when absent. */
  readonly silentMs?: number;
  /** True while it has nothing to do, because it waits for what we send it. */
  readonly waitsForUs?: () => boolean;
}

/** Far more than anything takes that ffmpeg does in one go, on a slow disk as well. */
const SILENT_AFTER_MS = 60_000;
const LOOK_EVERY_MS = 1000;
/** A killed program ends at once, unless the system holds it up: then nobody waits for it any longer. */
const GONE_WITHIN_MS = 2000;

/** Says when a program of others is to be killed: it was aborted, takes too long, or shows no progress. */
export class ToolWatch implements Disposable {
  /** Aborted when the program is to be killed; `reason` says why. */
  readonly stop: AbortSignal;
  readonly #patience: Patience;
  readonly #timer: NodeJS.Timeout;
  readonly #looking: NodeJS.Timeout;
  readonly #noteProgress = progressNoter();
  #seen = '';

  /** @param outputPath a file that it writes, whose growth is progress. */
  constructor(tool: Tool, limits: ToolLimits, outputPath?: string) {
    const { signal, timeoutMs, silentMs = SILENT_AFTER_MS, waitsForUs } = limits;
    const ended = new AbortController();
    this.stop = AbortSignal.any([signal, ended.signal]);
    this.#patience = new Patience(silentMs, () => ended.abort(madeNoProgress(tool, silentMs)));
    this.#timer = setTimeout(() => ended.abort(tookTooLong(tool, timeoutMs)), timeoutMs).unref();
    this.#looking = setInterval(
      () => {
        if (waitsForUs?.()) this.progress();
        else if (outputPath) this.#look(outputPath).catch(ignored('it has written nothing yet'));
      },
      Math.min(LOOK_EVERY_MS, silentMs / 4),
    ).unref();
  }

  /** It has done something. @param sign counts only if it differs from the last one. */
  progress(sign?: string): void {
    if (sign !== undefined && sign === this.#seen) return;
    if (sign !== undefined) this.#seen = sign;
    this.#patience.renew();
    this.#noteProgress();
  }

  /**
   * Resolves or rejects as `work` does; once the program is to be killed, with the reason for that as soon as it has
   * ended, or two seconds later.
   */
  async orStopped<T>(work: Promise<T>): Promise<T> {
    const killed = Promise.withResolvers<never>();
    const onStop = () => {
      const reject = () => killed.reject(this.stop.reason);
      work.then(reject, reject).catch(ignored('neither throws'));
      delay(GONE_WITHIN_MS, undefined, { ref: false }).then(reject).catch(ignored('neither throws'));
    };
    if (this.stop.aborted) onStop();
    else this.stop.addEventListener('abort', onStop, { once: true });
    try {
      return await Promise.race([killed.promise, work]);
    } catch (error) {
      // What fails because it was killed fails for the reason of that.
      throw this.stop.aborted ? this.stop.reason : error;
    } finally {
      this.stop.removeEventListener('abort', onStop);
      work.catch(ignored('it was killed, and that is said'));
      killed.promise.catch(ignored('nobody waits any more'));
    }
  }

  [Symbol.dispose](): void {
    this.#patience.stop();
    clearTimeout(this.#timer);
    clearInterval(this.#looking);
  }

  async #look(outputPath: string): Promise<void> {
    const { size, mtimeMs } = await stat(outputPath);
    this.progress(`${size} ${mtimeMs}`);
  }
}
