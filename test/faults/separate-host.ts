import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, writeFile } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { HERE } from './mixed-farm.ts';

/**
 * A machine of a farm, as far from the others as one machine allows: a network namespace and a user of its own, and a
 * folder that nobody else may read, with its configuration, its copies of the models and its disk.
 */

const run = promisify(execFile);
const FIRST_USER = 61_001;
let hosts = 0;

export interface HostSettings {
  readonly name: string;
  /** A folder for it; it makes one of its own in there. */
  readonly folder: string;
  /** Ports of loopback that it may reach: those of Redis and of the bucket. */
  readonly ports: readonly number[];
  /** False for a host in the network and under the user of the test. */
  readonly apart?: boolean;
  /** In the form of config.yaml. */
  readonly settings: Record<string, unknown>;
}

/** Whether this machine lets a test make network namespaces; where not, a host is only kept apart by its folder. */
export async function canSeparateNetworks(): Promise<boolean> {
  const name = `farm-try-${process.pid}`;
  try {
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['netns', 'del', name]);
    return true;
  } catch {
    return false;
  }
}

export class SeparateHost implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  /** Before the command of each of its processes. */
  #prefix: readonly string[] = [];
  readonly #ports: readonly number[];
  readonly #children = new Set<ChildProcess>();
  readonly #doors: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #namespace: string | undefined;
  #isCut = false;
  /** What its processes sent when it was cut off. */
  readonly #held: (() => void)[] = [];
  #cutBefore: { readonly text: RegExp; readonly done: () => void } | undefined;

  private constructor({ name, folder, ports }: HostSettings) {
    this.name = name;
    this.folder = path.join(folder, name);
    this.#ports = ports;
  }

  static async prepare(settings: HostSettings): Promise<SeparateHost> {
    const host = new SeparateHost(settings);
    await mkdir(host.folder, { recursive: true });
    const models = path.join(host.folder, 'models');
    await cp(path.dirname(SMALL_MODEL.model_path), models, { recursive: true });
    const small = Object.fromEntries(
      Object.entries(SMALL_MODEL).map(([key, file]) => [key, path.join(models, path.basename(file))]),
    );
    const config = { models: { small }, host: { name: settings.name }, ...settings.settings };
    await writeFile(path.join(host.folder, 'config.yaml'), stringify(config));
    if (settings.apart !== false && (await canSeparateNetworks())) await host.#separate();
    return host;
  }

  /** Those that run now. */
  get processes(): readonly ChildProcess[] {
    return [...this.#children].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  }

  /** Starts a process, and resolves when it is ready. @param root of the code that it runs. */
  async launch([entry, ...args]: readonly ['api' | 'worker', ...string[]], root = HERE): Promise<ChildProcess> {
    const child = this.#spawn([path.join(root, entry, 'main.ts'), ...args]);
    let said = '';
    const isReady = () => /"msg":"ready"/.test(said);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text: Buffer) => {
        said = (said + String(text)).slice(-20_000);
      });
    }
    await until(`a process of ${this.name} is ready`, () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`It ended: ${said}`);
      return isReady();
    });
    return child;
  }

  /**
   * Nothing gets in or out any more, and no connection is told so; where namespaces cannot be made, its processes stop.
   */
  cut(): void {
    this.#isCut = true;
    if (this.#namespace === undefined) for (const child of this.processes) child.kill('SIGSTOP');
    for (const socket of this.#sockets) socket.pause();
  }

  /**
   * Cuts it off right before it sends what begins like this, which arrives once it is healed; resolves then. Where
   * namespaces cannot be made, nobody sees what it sends: resolves at once, with nothing done.
   */
  async cutBefore(text: RegExp): Promise<void> {
    if (this.#namespace === undefined) return;
    await new Promise<void>((done) => {
      this.#cutBefore = { text, done };
    });
  }

  #lookAt(bytes: Buffer): void {
    const { text, done } = this.#cutBefore ?? {};
    if (this.#isCut || !text?.test(bytes.toString('latin1', 0, 1000))) return;
    this.#cutBefore = undefined;
    this.cut();
    done?.();
  }

  /** What was held up goes on where it was. */
  heal(): void {
    this.#isCut = false;
    if (this.#namespace === undefined) for (const child of this.processes) child.kill('SIGCONT');
    for (const send of this.#held.splice(0)) send();
    for (const socket of this.#sockets) socket.resume();
  }

  async end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = once(child, 'exit');
    child.kill(signal);
    const [exitCode] = (await ended) as [number | null];
    return exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isCut) this.heal();
    await Promise.all(this.processes.map((child) => this.end(child, 'SIGKILL')));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#doors.map(async (door) => await new Promise((closed) => door.close(closed))));
    if (this.#namespace) await run('ip', ['netns', 'del', this.#namespace]);
  }

  #spawn(args: readonly string[]): ChildProcess {
    const [command = '', ...words] = [...this.#prefix, process.execPath, ...args];
    const child = spawn(command, words, {
      env: {
        ...process.env,
        ...{ FARM_CONFIG: path.join(this.folder, 'config.yaml'), HOME: this.folder, TMPDIR: this.folder },
        NODE_COMPILE_CACHE: path.join(this.folder, 'compiled'),
      },
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    return child;
  }

  async #separate(): Promise<void> {
    const user = FIRST_USER + hosts++;
    this.#namespace = `farm-${process.pid}-${user}`;
    await run('ip', ['netns', 'add', this.#namespace]);
    const inside = ['ip', 'netns', 'exec', this.#namespace];
    await run('ip', ['netns', 'exec', this.#namespace, 'ip', 'link', 'set', 'lo', 'up']);
    for (const port of this.#ports) await this.#openDoor(port, user);
    await run('chown', ['-R', `${user}:${user}`, this.folder]);
    await chmod(this.folder, 0o700);
    this.#prefix = [...inside, 'setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
    const door = this.#spawn([path.join(HERE, 'test/faults/network-door.ts'), this.folder, ...this.#ports.map(String)]);
    let open = '';
    door.stdout?.on('data', (text: Buffer) => {
      open += String(text);
    });
    await until(`the network of ${this.name} is there`, () => {
      if (door.exitCode !== null) throw new Error(`Its door has closed: ${door.exitCode}`);
      return open.trim().split('\n').length === this.#ports.length;
    });
  }

  /** What its processes reach at a port of loopback is what this machine has there. */
  async #openDoor(port: number, user: number): Promise<void> {
    const file = path.join(this.folder, `${port}.sock`);
    const door = createServer({ allowHalfOpen: true }, (inside) => {
      const outside = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true });
      for (const [from, to] of [
        [inside, outside],
        [outside, inside],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (bytes: Buffer) => {
          this.#lookAt(bytes);
          if (this.#isCut) this.#held.push(() => to.write(bytes));
          else if (!to.write(bytes)) from.pause();
        });
        to.on('drain', () => {
          if (!this.#isCut) from.resume();
        });
        from.on('end', () => to.end());
        from.on('error', () => to.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        if (this.#isCut) from.pause();
      }
    }).listen(file);
    await once(door, 'listening');
    await chown(file, user, user);
    this.#doors.push(door);
  }
}
