/** The part of a logger that is needed here. */
export interface RepeatLog {
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
}

export interface RepeatOptions {
  /** What is repeated, for the log: "heartbeat", "look for orphaned queues". */
  readonly name: string;
  readonly everyMs: number;
  readonly log: RepeatLog;
  /** When the first run begins: at once, or after `everyMs` (the default). */
  readonly first?: 'now' | 'later';
  /** False lets the process end while this waits for its next run; true is the default. */
  readonly keepsProcessAlive?: boolean;
}

export interface Repeated {
  /** Runs as soon as the run in progress is over; at once when there is none. */
  now(): void;
  /** Begins no further run, and resolves when the one in progress is over. */
  stop(): Promise<void>;
}

/**
 * Runs `work` every `everyMs`, counted from the end of one run to the begin of the next: never two at a time. A run
 * that fails is tried again at the next turn; the first failure of a row is logged, and so is the first success after
 * it. In between it is silent, so that an outage is two lines in the log and not thousands.
 */
export function repeat(work: () => Promise<void> | void, options: RepeatOptions): Repeated {
  const { name, everyMs, log, first = 'later', keepsProcessAlive = true } = options;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  let failing = false;

  const attempt = async () => {
    try {
      await work();
      if (failing) log.info({ task: name }, 'works again');
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ task: name, reason: (error as Error).message }, 'failed; will be tried again');
      failing = true;
    }
  };
  const run = () => {
    clearTimeout(timer);
    again = false;
    running = attempt().then(() => {
      running = undefined;
      if (stopped) return;
      if (again) run();
      else wait();
    });
  };
  const wait = () => {
    timer = setTimeout(run, everyMs);
    if (!keepsProcessAlive) timer.unref();
  };

  if (first === 'now') run();
  else wait();
  return {
    now() {
      if (stopped) return;
      if (running) again = true;
      else run();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
