import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { childEnvironment } from '../../shared/process/environment.ts';
import { Patience } from '../../shared/process/patience.ts';
import type { ProcessMessage, StartMessage, SupervisorMessage } from '../../shared/process/supervised.ts';
import { ignored, unexpected } from '../../shared/process/unheard.ts';
import type { ProcessState } from '../../shared/views/process-view.ts';
import { describeEnd, RestartWaits } from './restart-waits.ts';

export interface ProcessSpec {
  /** Shown in front of its log lines. */
  readonly name: string;
  readonly script: string;
  /** For Node itself; absent: none. */
  readonly nodeOptions?: readonly string[];
  readonly args: readonly string[];
  /** Set in this process alone. */
  readonly environment: Record<string, string>;
  /** True to tell it how all processes are, whenever that changes. */
  readonly hearsOfOthers?: boolean;
}

export interface SupervisedOptions {
  /** Set in every process beside what this one inherited. */
  readonly environment: Record<string, string>;
  /** False keeps the FARM_ variables of this process from the others. */
  readonly inheritOverrides: boolean;
  readonly onLine: (name: string, line: string) => void;
  /** How long processes may take to drain before they are killed. */
  readonly drainMs: number;
  /** Absent: the limits that are documented. */
  readonly limits?: SilenceLimits;
}

export interface SilenceLimits {
  /** A start in which nothing has happened for so long is stuck. */
  readonly startMs: number;
  /** A process whose main thread has shown no life for so long hangs, or was stopped. */
  readonly hungMs: number;
}

const LIMITS: SilenceLimits = { startMs: 120_000, hungMs: 20_000 };

/** A process that ran until `ended` tells how it ended. */
interface Run {
  readonly ended: Promise<string>;
  readonly sinceMs: number;
}

/** One process of the farm: started, watched, and started again when it ends or hangs. */
export class SupervisedProcess {
  readonly #spec: ProcessSpec;
  readonly #options: SupervisedOptions;
  readonly #onChange: () => void;
  readonly #stopping = new AbortController();
  readonly #waits = new RestartWaits();
  #child: ChildProcess | undefined;
  /** Why this supervisor has ended the child. */
  #fault: string | undefined;
  #state: ProcessState['state'] = 'starting';
  #lastEnd: string | null = null;

  /** @param onChange told when `state` has changed. */
  constructor(spec: ProcessSpec, options: SupervisedOptions, onChange: () => void) {
    this.#spec = spec;
    this.#options = options;
    this.#onChange = onChange;
  }

  get name(): string {
    return this.#spec.name;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child && !hasEnded(this.#child) ? this.#child.pid : undefined;
  }

  get state(): ProcessState {
    return { name: this.name, state: this.#state, restarts: this.#waits.inARow, last_end: this.#lastEnd };
  }

  /** Resolves when it is ready. Rejects when it ends in its start; one that gets stuck there is started again. */
  async start(): Promise<void> {
    const run = await this.#run().catch((error: unknown) => {
      if (this.#fault === undefined || this.#stopping.signal.aborted) throw error;
      return this.#again(this.#fault, 0);
    });
    this.#keepAlive(run).catch(unexpected);
  }

  /** Asks it to drain, kills it when it has not ended in time, and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (!child || hasEnded(child)) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const killer = setTimeout(() => killGroup(child), this.#options.drainMs);
    await ended;
    clearTimeout(killer);
  }

  /** Ends it at once. */
  kill(): void {
    this.#stopping.abort();
    if (this.#child) killGroup(this.#child);
  }

  /** Has it read its configuration again. One that is still starting reads it anyway. */
  reload(): void {
    if (this.#state === 'running' && this.pid !== undefined) this.#child?.kill('SIGHUP');
  }

  /** Does nothing for a process that does not listen. */
  tell(message: SupervisorMessage): void {
    const gone = ignored('whoever has just ended gets the message of its next start');
    if (this.#spec.hearsOfOthers && this.#child?.connected) this.#child.send(message, gone);
  }

  async #keepAlive(first: Run | undefined): Promise<void> {
    let run = first;
    while (run) {
      const how = await run.ended;
      if (this.#stopping.signal.aborted) return;
      run = await this.#again(how, performance.now() - run.sinceMs);
    }
  }

  /** Starts it again until it is ready; undefined when it is to stop. */
  async #again(how: string, ranMs: number): Promise<Run | undefined> {
    const { signal } = this.#stopping;
    let lastEnd = how;
    for (let lastedMs = ranMs; !signal.aborted; lastedMs = 0) {
      const waitMs = this.#waits.next(lastedMs);
      this.#lastEnd = lastEnd;
      this.#enter('waiting');
      this.#options.onLine(this.name, describeEnd(this.name, lastEnd, this.#waits, waitMs));
      await delay(waitMs, undefined, { signal }).catch(ignored('told to stop'));
      if (signal.aborted) return undefined;
      try {
        const run = await this.#run();
        this.#options.onLine(this.name, `${this.name} runs again`);
        return run;
      } catch (error) {
        lastEnd = this.#fault ?? (error as Error).message.replace(`${this.name} `, '').split('\n')[0] ?? '';
      }
    }
    return undefined;
  }

  #enter(state: ProcessState['state']): void {
    this.#state = state;
    this.#onChange();
  }

  /** Starts it and waits until it is ready. FarmError when it ends before: what it says, or `internal`. */
  async #run(): Promise<Run> {
    const { name, nodeOptions = [], script, args, environment } = this.#spec;
    this.#fault = undefined;
    const child = spawn(process.execPath, [...nodeOptions, script, ...args], {
      env: childEnvironment({ ...this.#options.environment, ...environment }, this.#options.inheritOverrides),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own: a terminal's Ctrl-C would end the ffmpeg of a segment that is to be finished.
      detached: true,
    });
    this.#child = child;
    this.#enter('starting');
    let lastWords = '';
    forEachLine(child.stdout, (line) => this.#options.onLine(name, line));
    forEachLine(child.stderr, (line) => {
      lastWords += `${line}\n`;
      this.#options.onLine(name, line);
    });
    const started = this.#watch(child);
    const ended = once(child, 'close').then(([code, signal]) => this.#fault ?? howItEnded(code, signal));
    const first = await Promise.race([started, ended]);
    if (typeof first === 'string')
      throw new FarmError('internal', `${name} did not start: ${first}\n${lastWords.trim()}`);
    if (first.type === 'failed') throw new FarmError(first.error.code, `${name} did not start: ${first.error.message}`);
    this.#enter('running');
    return { ended, sinceMs: performance.now() };
  }

  /** Ends a child that shows no life. Resolves to what it says of its start. */
  #watch(child: ChildProcess): Promise<StartMessage> {
    const { startMs, hungMs } = this.#options.limits ?? LIMITS;
    const started = Promise.withResolvers<StartMessage>();
    const starting = new Patience(startMs, () =>
      this.#end(child, `nothing happened in its start for ${startMs / 1000} s`),
    );
    let living: Patience | undefined;
    let progress = 0;
    child.on('message', (message: ProcessMessage) => {
      if (message.type !== 'alive') {
        starting.stop();
        started.resolve(message);
        return;
      }
      living ??= new Patience(hungMs, () => this.#end(child, `it showed no life for ${hungMs / 1000} s`));
      living.renew();
      if (message.progress !== progress) starting.renew();
      progress = message.progress;
    });
    child.once('exit', () => {
      starting.stop();
      living?.stop();
    });
    return started.promise;
  }

  #end(child: ChildProcess, fault: string): void {
    this.#fault = fault;
    killGroup(child);
  }
}

/** Ends a process at once, together with the ffmpeg that it may have started. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || hasEnded(child)) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // It has ended, and its exit event has not come yet.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function howItEnded(code: number | null, signal: string | null): string {
  return signal ? `by ${signal}` : `exit code ${code}`;
}

function forEachLine(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', onLine);
}
