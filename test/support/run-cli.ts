import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** The `farm` command's own file. */
export const FARM = path.join(ROOT, 'cli/farm.ts');
/** Named so that the programs of others get it, too, which are told little of the environment. */
const MARK = 'XDG_TEST_FAMILY';

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
  return runCommand(process.execPath, [FARM, ...args], { environment });
}

export interface CommandOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Descriptor of an open file that it reads as its standard input. */
  readonly stdin?: number;
  /** In a process group of its own, so that a signal can go to all of it, as from a terminal. */
  readonly ownGroup?: boolean;
}

/** Starts any command, in the repository unless another folder is named. */
export function runCommand(
  command: string,
  args: readonly string[],
  { environment = {}, cwd = ROOT, stdin, ownGroup = false }: CommandOptions = {},
): CliRun {
  const family = randomUUID();
  const child = spawn(command, args, {
    cwd,
    detached: ownGroup,
    env: { ...process.env, ...environment, [MARK]: family },
    stdio: [stdin ?? 'ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    if (stream)
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
        Promise.reject(new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${output()}`)),
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
