import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { freeNow } from '../../process/free-now.ts';
import { ignored } from '../../process/unheard.ts';
import { connectOptions } from './address.ts';
import { LinkRun, type RunListener } from './link-run.ts';
import { MessageReader, WrongMessage } from './message-reader.ts';
import { jsonMessage, KIND, type Open, send } from './wire.ts';

const CONNECT_WITHIN_MS = 1000;
/** A front end that runs answers within this time, and goes on with a payload, however busy it is. */
export const ANSWER_WITHIN_MS = 4000;
/** How soon a connection is found dead whose other end has vanished. */
const KEEP_ALIVE_MS = 5000;
/** After a failure the front end is not tried again for so long. */
const REST_MS = 10_000;

/** The front end cannot be reached, or does not answer. */
export class NotReached extends Error {
  override readonly name = 'NotReached';
}

/** Takes a job that was offered, and begins its run. */
export type TakeOffer = (listener: RunListener) => LinkRun;

/**
 * Hears of jobs that a front end offers to this worker; `job` is what came, unchecked. Whoever takes one calls `take`
 * before it returns; else the front end puts the job on a queue.
 */
export type OnOffer = (job: unknown, take: TakeOffer) => void;

/** A worker's connection to one front end, for all of its runs; it is made when it is needed, and again. */
export class FrameLink {
  readonly #address: string;
  readonly #onOffer: OnOffer;
  readonly #runs = new Map<number, LinkRun>();
  #socket: Socket | undefined;
  #connecting: Promise<Socket> | undefined;
  #lastRun = 0;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  constructor(address: string, onOffer: OnOffer = () => {}) {
    this.#address = address;
    this.#onOffer = onOffer;
  }

  /** True while there is a connection, or a run that may need one. */
  get isInUse(): boolean {
    return this.#socket !== undefined || this.#runs.size > 0 || performance.now() < this.#restsUntilMs;
  }

  /** Begins a run; it is lost when no answer comes in time. NotReached, at once while the front end was not reached in the last seconds. */
  async open(open: Open, listener: RunListener): Promise<LinkRun> {
    const socket = await this.#connected();
    const run = this.#begin(socket, ++this.#lastRun, listener);
    run.open(open);
    return run;
  }

  /** Notes that the front end does not do what it should. */
  rest(): void {
    this.#restsUntilMs = performance.now() + REST_MS;
    this.#socket?.destroy();
  }

  close(): void {
    this.#socket?.destroy();
  }

  #begin(socket: Socket, id: number, listener: RunListener): LinkRun {
    const late = setTimeout(() => this.rest(), ANSWER_WITHIN_MS);
    const run = new LinkRun(socket, id, listener, { late, forget: () => this.#runs.delete(id) });
    this.#runs.set(id, run);
    return run;
  }

  async #connected(): Promise<Socket> {
    if (this.#socket) return this.#socket;
    if (performance.now() < this.#restsUntilMs) throw new NotReached('it was not reached a moment ago');
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return await this.#connecting;
  }

  async #connect(): Promise<Socket> {
    const socket = connect({ ...connectOptions(this.#address), noDelay: true, keepAlive: true });
    // Each run may wait until the connection takes more.
    socket.setKeepAlive(true, KEEP_ALIVE_MS).setMaxListeners(0);
    socket.on('error', ignored('it is closed then, and its runs go on elsewhere'));
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_WITHIN_MS) });
    } catch (error) {
      socket.destroy();
      this.#restsUntilMs = performance.now() + REST_MS;
      const { code, name, message } = error as NodeJS.ErrnoException;
      throw new NotReached(name === 'AbortError' ? `no connection within ${CONNECT_WITHIN_MS} ms` : (code ?? message));
    }
    this.#attend(socket);
    this.#socket = socket;
    return socket;
  }

  #attend(socket: Socket): void {
    const reader = new MessageReader({
      message: (kind, run, body) => this.#receive(socket, kind, run, body),
      bytes: (run, part) => this.#runs.get(run)?.bytes(part),
    });
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
        // All of it was copied to where it belongs. Left to V8, large payloads and frames make it collect all of its heap.
        freeNow(chunk);
      } catch {
        // Whatever it is, it is no front end of this farm.
        this.rest();
      }
    });
    socket.on('close', () => {
      this.#socket = undefined;
      const lost = [...this.#runs.values()];
      this.#runs.clear();
      for (const run of lost) run.lose();
    });
  }

  #receive(socket: Socket, kind: number, runId: number, body: Buffer): void {
    const run = this.#runs.get(runId);
    if (kind === KIND.offer) this.#hear(socket, runId, body);
    else if (kind === KIND.grant) run?.grant(body);
    else if (kind === KIND.refusal) run?.refuse(body);
    else if (kind === KIND.read) run?.read(body);
    else throw new WrongMessage(`A message of unknown kind ${kind}`);
  }

  #hear(socket: Socket, runId: number, body: Buffer): void {
    this.#onOffer(JSON.parse(body.toString()), (listener) => {
      const run = this.#begin(socket, runId, listener);
      run.take();
      return run;
    });
    if (!this.#runs.has(runId)) send(socket, jsonMessage(KIND.declined, runId));
  }
}

/** The connections of a worker to all front ends. */
export class FrameLinks {
  readonly #links = new Map<string, FrameLink>();
  readonly #onOffer: OnOffer;

  constructor(onOffer?: OnOffer) {
    this.#onOffer = onOffer ?? (() => {});
  }

  /** The connection to the front end at this address. */
  to(address: string): FrameLink {
    const known = this.#links.get(address);
    if (known) return known;
    // Front ends come and go: what is not used any more is forgotten when a new one comes.
    for (const [other, link] of this.#links) if (!link.isInUse) this.#links.delete(other);
    const link = new FrameLink(address, this.#onOffer);
    this.#links.set(address, link);
    return link;
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }
}
