import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../shared/errors.ts';
import { childEnvironment } from '../shared/process/environment.ts';
import type { StartMessage } from '../shared/process/shutdown.ts';
import { MINUTE_MS } from '../shared/units.ts';

export interface ProcessSpec {
  /** Shown in front of its log lines. */
  readonly name: string;
  readonly script: string;
  readonly args: readonly string[];
  /** Set in this process alone. */
  readonly environment: Record<string, string>;
}

export interface SupervisorOptions {
  /** Set in every process beside what this one inherited. */
  readonly environment: Record<string, string>;
  /** False keeps the FARM_ variables of this process from the others. */
  readonly inheritOverrides: boolean;
  readonly onLine: (name: string, line: string) => void;
  /** How long processes may take to drain before they are killed. */
  readonly drainMs: number;
}

const RESTART_AFTER_MS = 500;
const RESTART_AFTER_MAX_MS = 15_000;
/** After a crash a process starts again at once, and more and more slowly when it crashes again within this time. */
const STEADY_AFTER_MS = MINUTE_MS;

interface Supervised {
  readonly spec: ProcessSpec;
  child: ChildProcess | undefined;
  /** It has said so: it listens to signals. */
  ready: boolean;
  restarts: number;
}

/** Starts the farm's processes, restarts what crashes, and stops all of them together. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #processes: Supervised[] = [];
  readonly #stopping = new AbortController();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts the processes and resolves when all say that they are ready. The first one that cannot start ends it. */
  async start(specs: readonly ProcessSpec[]): Promise<void> {
    await Promise.all(
      specs.map(async (spec) => {
        const supervised: Supervised = { spec, child: undefined, ready: false, restarts: 0 };
        this.#processes.push(supervised);
        const exited = await this.#spawnUntilReady(supervised);
        void this.#keepAlive(supervised, exited);
      }),
    );
  }

  /** Asks every process to drain, kills what has not ended in time, and resolves when none is left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(
      this.#processes.map(async ({ child }) => {
        if (!child || hasEnded(child)) return;
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        const killer = setTimeout(() => killGroup(child), this.#options.drainMs);
        await ended;
        clearTimeout(killer);
      }),
    );
  }

  /** Ends every process at once; the farm that starts next does their unfinished work again. */
  kill(): void {
    this.#stopping.abort();
    for (const { child } of this.#processes) if (child) killGroup(child);
  }

  /** Has every process read its configuration again. One that is still starting reads it anyway. */
  reload(): void {
    for (const { child, ready } of this.#processes) if (child && ready && !hasEnded(child)) child.kill('SIGHUP');
  }

  /** Process ids by name, of those that run. */
  get pids(): ReadonlyMap<string, number> {
    const alive = this.#processes.flatMap(({ spec, child }) =>
      child?.pid && !hasEnded(child) ? ([[spec.name, child.pid]] as const) : [],
    );
    return new Map(alive);
  }

  /**
   * Resolves to a promise of the process's end. FarmError when it ends before it is ready: what it says, or `internal`.
   */
  async #spawnUntilReady(supervised: Supervised): Promise<{ ended: Promise<void> }> {
    const { name, script, args, environment } = supervised.spec;
    const child = spawn(process.execPath, [script, ...args], {
      env: childEnvironment({ ...this.#options.environment, ...environment }, this.#options.inheritOverrides),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own: a terminal's Ctrl-C would end the ffmpeg of a segment that is to be finished.
      detached: true,
    });
    supervised.child = child;
    supervised.ready = false;
    let lastWords = '';
    forEachLine(child.stdout, (line) => this.#options.onLine(name, line));
    forEachLine(child.stderr, (line) => {
      lastWords += `${line}\n`;
      this.#options.onLine(name, line);
    });
    const ended = once(child, 'close').then(() => {});
    const told = once(child, 'message').then(([message]) => message as StartMessage);
    const first = await Promise.race([told, ended]);
    if (!first) throw new FarmError('internal', `${name} did not start:\n${lastWords.trim()}`);
    if (first.type === 'failed') throw new FarmError(first.error.code, `${name} did not start: ${first.error.message}`);
    supervised.ready = true;
    return { ended };
  }

  async #keepAlive(supervised: Supervised, first: { ended: Promise<void> }): Promise<void> {
    let current = first;
    for (;;) {
      const startedAtMs = Date.now();
      await current.ended;
      if (this.#stopping.signal.aborted) return;
      if (Date.now() - startedAtMs > STEADY_AFTER_MS) supervised.restarts = 0;
      const restarted = await this.#restart(supervised);
      if (!restarted) return;
      current = restarted;
    }
  }

  async #restart(supervised: Supervised): Promise<{ ended: Promise<void> } | undefined> {
    const { name } = supervised.spec;
    while (!this.#stopping.signal.aborted) {
      const waitMs = restartDelayMs(supervised.restarts++);
      this.#options.onLine(name, `${name} ended unexpectedly; starting it again in ${waitMs} ms`);
      await delay(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => {}); // Told to stop.
      if (this.#stopping.signal.aborted) return undefined;
      // Why it did not start is in its own lines, which were shown.
      const running = await this.#spawnUntilReady(supervised).catch(() => undefined);
      if (running) return running;
    }
    return undefined;
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

/** @param restarts that came before, since the process ran steadily. */
function restartDelayMs(restarts: number): number {
  return restarts === 0 ? 0 : Math.min(RESTART_AFTER_MS * 2 ** (restarts - 1), RESTART_AFTER_MAX_MS);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function forEachLine(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', onLine);
}
