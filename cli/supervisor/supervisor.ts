import type { ProcessState } from '../../shared/views/process-view.ts';
import { type ProcessSpec, type SupervisedOptions, SupervisedProcess } from './supervised-process.ts';

/** Starts the farm's processes, restarts what crashes or hangs, and stops all of them together. */
export class Supervisor {
  readonly #options: SupervisedOptions;
  readonly #processes: SupervisedProcess[] = [];
  /** Of what others supervise. */
  readonly #others = new Map<string, ProcessState>();

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  /** Starts the processes and resolves when all say that they are ready. The first one that cannot start ends it. */
  async start(specs: readonly ProcessSpec[]): Promise<void> {
    for (const spec of specs) {
      this.#processes.push(new SupervisedProcess(spec, this.#options, () => this.#tellAll()));
    }
    await Promise.all(this.#processes.map((supervised) => supervised.start()));
  }

  /** Asks every process to drain, kills what has not ended in time, and resolves when none is left. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((supervised) => supervised.stop()));
  }

  /** Ends every process at once; the farm that starts next does their unfinished work again. */
  kill(): void {
    for (const supervised of this.#processes) supervised.kill();
  }

  /** Has every process read its configuration again. */
  reload(): void {
    for (const supervised of this.#processes) supervised.reload();
  }

  /** Process ids by name, of those that run. */
  get pids(): ReadonlyMap<string, number> {
    return new Map(this.#processes.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, pid] as const])));
  }

  /** How a process is that somebody else supervises, for those that hear of all. */
  note(state: ProcessState): void {
    this.#others.set(state.name, state);
    this.#tellAll();
  }

  #tellAll(): void {
    const processes = [...this.#others.values(), ...this.#processes.map(({ state }) => state)];
    for (const supervised of this.#processes) supervised.tell({ type: 'processes', processes });
  }
}
