import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const FARM = fileURLToPath(new URL('../../cli/farm.ts', import.meta.url));
const MARK = 'TEST_FAMILY';

export interface CliRun {
  readonly child: ChildProcess;
  /** Marks the command and everything that it starts. */
  readonly family: string;
  /** Everything printed so far, both streams. */
  readonly output: () => string;
  readonly exited: Promise<number | null>;
  /** Resolves when a line matches; rejects when the command ends first. */
  until(pattern: RegExp): Promise<void>;
}

/** Starts `farm …` as a user would. */
export function runCli(...args: string[]): CliRun {
  return runCliIn({}, ...args);
}

/** The same with some variables of the environment set, or taken away where they are undefined. */
export function runCliIn(environment: NodeJS.ProcessEnv, ...args: string[]): CliRun {
  const family = randomUUID();
  const child = spawn(process.execPath, [FARM, ...args], {
    env: { ...process.env, ...environment, [MARK]: family },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const listener of listeners) listener();
    });
  }
  const output = () => lines.join('\n');
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return {
    child,
    family,
    output,
    exited,
    async until(pattern) {
      const seen = Promise.withResolvers<void>();
      const look = () => pattern.test(output()) && seen.resolve();
      listeners.add(look);
      look();
      const ended = exited.then((code) =>
        Promise.reject(new Error(`farm ${args[0]} ended with ${code}:\n${output()}`)),
      );
      ended.catch(() => {});
      await Promise.race([seen.promise, ended]);
      listeners.delete(look);
    },
  };
}

/** Process ids of everything that a command started and that still runs. Linux only. */
export async function livingFamily(family: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  const marks = await Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).includes(family)),
  );
  return pids.filter((_, index) => marks[index]);
}
