import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import type { Writable } from 'node:stream';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { toolEnvironment } from '../../shared/process/environment.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { confined, only } from '../../shared/tools/confined.ts';
import { failureOf, KEPT_TEXT, notStarted } from '../../shared/tools/tool-faults.ts';
import { type ToolLimits, ToolWatch } from '../../shared/tools/tool-watch.ts';

/** Options stand as ffmpeg takes them, one option or value an element. */
export interface FedCommand {
  /** Of the input, which is what is written. */
  readonly inputOptions: readonly string[];
  readonly outputOptions: readonly string[];
  /** A file; one that is there is replaced. */
  readonly outputPath: string;
}

/**
 * Of the encoder: below the threads that compute, at 5. Where cores are short, a network's threads that lose theirs in
 * the middle of an operator make the others wait awake, and a live request waits for a video.
 */
const NICENESS = 10;

/** ffmpeg that reads what we write, with no stream between: nothing is copied, and memory is ours again at once. */
export class FfmpegFeed {
  readonly #ended: Promise<void>;
  #input: Writable | undefined;
  /** Writes that ffmpeg has not taken yet. */
  #waiting = 0;
  #progress = () => {};

  constructor(command: FedCommand, limits: Omit<ToolLimits, 'waitsForUs'>) {
    this.#ended = this.#run(command, limits);
    this.#ended.catch(ignored('the next write or the end reports it'));
  }

  /**
   * Resolves once ffmpeg has taken all of it: the memory may be used again. Several writes may wait at once.
   * @throws the reason why ffmpeg ended: as for `end`.
   */
  async write(bytes: Uint8Array): Promise<void> {
    const taken = Promise.withResolvers<void>();
    this.#waiting += 1;
    if (!this.#input) taken.reject(new Error('there is no ffmpeg'));
    else this.#input.write(bytes, (error) => (error ? taken.reject(error) : taken.resolve()));
    try {
      await taken.promise;
      this.#progress();
    } catch (cause) {
      await this.#ended;
      throw new FarmError('encode_failed', 'ffmpeg ended before it had taken all its input', { cause });
    } finally {
      this.#waiting -= 1;
    }
  }

  /**
   * Tells ffmpeg that this was all, and resolves when the file is complete.
   * @throws the signal's reason once that is aborted, FarmError('encode_failed') with ffmpeg's last words, or the fault
   * of the machine.
   */
  async end(): Promise<void> {
    this.#input?.end();
    await this.#ended;
  }

  async #run({ inputOptions, outputOptions, outputPath }: FedCommand, limits: ToolLimits): Promise<void> {
    limits.signal.throwIfAborted();
    const waitsForUs = () => this.#waiting === 0 && this.#input?.writableEnded === false;
    using watch = new ToolWatch('ffmpeg', { ...limits, waitsForUs }, outputPath);
    this.#progress = () => watch.progress();
    const input = [...only('pipe'), ...inputOptions, '-i', 'pipe:0'];
    const words = ['-v', 'error', '-nostats', ...input, ...outputOptions, '-y', outputPath];
    const { command, args } = confined('ffmpeg', words, limits.timeoutMs);
    const child = spawn(command, args, { stdio: ['pipe', 'ignore', 'pipe'], env: toolEnvironment() });
    if (child.pid !== undefined) giveWay(child.pid);
    this.#input = child.stdin ?? undefined;
    child.stdin?.on('error', ignored('the write that failed reports it'));
    const end = () => {
      child.kill('SIGKILL');
      child.stdin?.destroy();
      child.stderr?.destroy();
    };
    watch.stop.addEventListener('abort', end, { once: true });
    try {
      await watch.orStopped(endOf(child));
    } finally {
      end();
    }
  }
}

/** On Linux, where the threads that compute have their own priority as well. */
function giveWay(pid: number): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(pid, NICENESS);
  } catch {
    // It has ended already: that is reported where its end is awaited.
  }
}

/** Resolves when it has ended well. */
async function endOf(child: ChildProcess): Promise<void> {
  let said = '';
  child.stderr?.on('data', (text) => {
    said = `${said}${text}`.slice(-KEPT_TEXT);
  });
  const [exitCode, killedBy] = (await once(child, 'close').catch((error: Error) => {
    throw notStarted('ffmpeg', error);
  })) as [code: number | null, signal: string | null];
  if (exitCode === 0) return;
  throw failureOf('ffmpeg', { exitCode, killedBy, said }, new Error(`It ended with ${exitCode}`));
}
