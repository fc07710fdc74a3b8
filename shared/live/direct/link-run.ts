import type { Socket } from 'node:net';
import type { ErrorReport } from '../../errors/farm-error.ts';
import { toStoredError } from '../../formats/stored-error.ts';
import type { FinishedFrame, LiveSummary } from '../frames.ts';
import { IncomingBytes } from './incoming-bytes.ts';
import {
  type Grant,
  grantSchema,
  header,
  jsonMessage,
  KIND,
  LAST,
  numbersMessage,
  type Open,
  PIECE_BYTES,
  type Refusal,
  refusalSchema,
  send,
  sendBytes,
} from './wire.ts';

/** What a run hears from the front end. One of the first two comes first. */
export interface RunListener {
  /** The run is let in, and its payload is there. @param parts none when it was not wanted. */
  granted(firstFrame: number, parts: Readonly<Record<string, Buffer>>): void;
  /** The run is of no use, or no longer. */
  refused(why: Refusal): void;
  /** All before `frame` has been read; LAST: everything has come. */
  read(frame: number): void;
  /** The connection is lost. */
  lost(): void;
}

export interface RunTools {
  /** Ends the connection unless the run is let in and its payload comes. */
  readonly late: NodeJS.Timeout;
  readonly forget: () => void;
}

/** Longer texts of errors are cut: a message that is not a frame has its bound. */
const LONGEST_TEXT = 4000;

/** The worker's end of one run on a connection. */
export class LinkRun {
  readonly #socket: Socket;
  readonly #id: number;
  readonly #listener: RunListener;
  readonly #tools: RunTools;
  #isOpen = true;
  #payload: { readonly grant: Grant; readonly bytes: IncomingBytes } | undefined;

  constructor(socket: Socket, id: number, listener: RunListener, tools: RunTools) {
    this.#socket = socket;
    this.#id = id;
    this.#listener = listener;
    this.#tools = tools;
  }

  open(open: Open): void {
    send(this.#socket, jsonMessage(KIND.open, this.#id, open));
  }

  /** Of a job that was offered: says that this worker is at it. */
  take(): void {
    send(this.#socket, jsonMessage(KIND.taken, this.#id));
  }

  /** Resolves when the connection has taken it, or is lost. */
  async frame({ frameIndex, data }: FinishedFrame): Promise<void> {
    const first = data.subarray(0, PIECE_BYTES);
    const announced = numbersMessage(KIND.frame, this.#id, frameIndex, data.length);
    if (first.length === 0) send(this.#socket, announced);
    else send(this.#socket, Buffer.concat([announced, header(KIND.bytes, this.#id, first.length)]), first);
    if (first.length < data.length) {
      await sendBytes(this.#socket, this.#id, data.subarray(first.length), () => this.#isOpen);
    }
  }

  done(summary: LiveSummary): void {
    send(this.#socket, jsonMessage(KIND.done, this.#id, summary));
  }

  failed(error: ErrorReport): void {
    const { message, remedy } = error;
    const cut = { ...error, message: message.slice(0, LONGEST_TEXT), remedy: remedy.slice(0, LONGEST_TEXT) };
    send(this.#socket, jsonMessage(KIND.failed, this.#id, toStoredError(cut)));
  }

  /** Ends the run on this side. */
  leave(): void {
    if (!this.#isOpen) return;
    send(this.#socket, jsonMessage(KIND.leave, this.#id));
    this.#end();
  }

  /** A `grant` has come. */
  grant(body: Buffer): void {
    const grant = grantSchema.parse(JSON.parse(body.toString()));
    this.#payload = { grant, bytes: new IncomingBytes(grant.parts.map(({ bytes }) => bytes)) };
    this.#handOver();
  }

  /** A part of the payload has come. */
  bytes(part: Buffer): void {
    this.#tools.late.refresh();
    this.#payload?.bytes.add(part);
    this.#handOver();
  }

  refuse(body: Buffer): void {
    this.#end();
    this.#listener.refused(refusalSchema.parse(JSON.parse(body.toString())).why);
  }

  read(body: Buffer): void {
    const frame = body.readUInt32BE(0);
    if (frame === LAST) this.#end();
    this.#listener.read(frame);
  }

  lose(): void {
    this.#end();
    this.#listener.lost();
  }

  #handOver(): void {
    if (!this.#payload?.bytes.isWhole) return;
    const { grant, bytes } = this.#payload;
    this.#payload = undefined;
    clearTimeout(this.#tools.late);
    const parts = grant.parts.map(({ name }, place) => [name, bytes.buffers[place]]);
    this.#listener.granted(grant.firstFrame, Object.fromEntries(parts));
  }

  #end(): void {
    this.#isOpen = false;
    clearTimeout(this.#tools.late);
    this.#tools.forget();
  }
}
