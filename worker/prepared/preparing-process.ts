/** A process of low priority that prepares pictures, as the thread that has started it sees it. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { childEnvironment } from '../../shared/process/environment.ts';
import type { PictureOrder } from './prepare-picture.ts';
import type { FromPreparing, ToPreparing } from './preparing-protocol.ts';

const ENTRY = join(import.meta.dirname, 'preparing-process-main.ts');
/** It decodes one picture at a time. */
const OWN_THREADS = '1';
/** A picture takes tens of milliseconds; on a machine that is busy the lowest priority may have to wait for a core. */
const ANSWERS_WITHIN_MS = 300_000;

/**
 * A process rather than a thread: all its threads give way to others, a picture that makes a decoder crash does not
 * take the GPU worker along, and its memory is free when it ends.
 */
export class PreparingProcess implements AsyncDisposable {
  readonly #place: Omit<ToPreparing, 'order'>;
  readonly #child: ChildProcess;
  /** Ends as well when it could not be started. */
  readonly #exited: Promise<void>;

  /** @param place where the prepared pictures go. */
  constructor({ folder, reserveGb }: Omit<ToPreparing, 'order'>) {
    this.#place = { folder, reserveGb };
    this.#child = fork(ENTRY, {
      env: childEnvironment({ UV_THREADPOOL_SIZE: OWN_THREADS }),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      // It could not be started, or be sent something; `prepare` says so.
      this.#child.on('error', () => {
        this.#child.kill('SIGKILL');
        resolve();
      });
    });
  }

  /**
   * Prepares one picture; call it again when this has ended.
   * @throws FarmError `worker_lost` when the process ends meanwhile, or is killed since it does not answer;
   * `signal.reason` once the signal is aborted.
   */
  async prepare(order: PictureOrder, signal: AbortSignal): Promise<FromPreparing> {
    signal.throwIfAborted();
    const answered = new AbortController();
    const ends = AbortSignal.any([signal, answered.signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)]);
    try {
      const answer = once(this.#child, 'message', { signal: ends });
      const message: ToPreparing = { order, ...this.#place };
      this.#child.send(message);
      const lost = this.#exited.then(() => {
        throw new FarmError('worker_lost', `the process that prepares picture ${order.index} has ended`);
      });
      const [received] = (await Promise.race([answer, lost])) as [FromPreparing];
      return received;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof FarmError) throw error;
      throw new FarmError('worker_lost', `the process that prepares picture ${order.index} gives no answer`);
    } finally {
      answered.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
