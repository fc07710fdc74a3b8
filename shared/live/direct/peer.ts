import type { Socket } from 'node:net';
import type { LiveJob } from '../../jobs/jobs.ts';
import { freeNow } from '../../process/free-now.ts';
import { ignored, unexpected } from '../../process/unheard.ts';
import { HOUR_MS } from '../../units.ts';
import { partsOf } from '../live-payload.ts';
import type { DirectInbox, Sender } from './inbox.ts';
import { IncomingBytes } from './incoming-bytes.ts';
import { MessageReader, WrongMessage } from './message-reader.ts';
import {
  errorOf,
  type Grant,
  jsonMessage,
  KIND,
  LARGEST_FRAME_BYTES,
  numbersMessage,
  offeredRun,
  openSchema,
  type Refusal,
  SMALL_BYTES,
  send,
  sendBytes,
  summaryOf,
} from './wire.ts';

/** A worker says what it wants within this time, or it is none. */
const PROVE_WITHIN_MS = 2000;
/** Runs that an unproven connection may ask for in vain. */
const MOST_REFUSALS = 8;
/** Runs at the same time on one connection. */
const MOST_RUNS = 256;
/**
 * A connection without runs is closed after this time; the worker connects again when it needs to. Long, since without a
 * connection a job goes by a queue, which costs seventy commands of Redis: in a large farm it may take minutes until a
 * front end comes to a GPU again.
 */
const IDLE_MS = HOUR_MS;
/** How soon a connection is found dead whose other end has vanished. */
const KEEP_ALIVE_MS = 5000;

/** A run on this connection, and the frame that is coming. */
interface PeerRun {
  readonly inbox: DirectInbox;
  readonly sender: Sender;
  readonly gpuId: number;
  isCurrent: boolean;
  frame: { readonly frameIndex: number; readonly bytes: IncomingBytes } | undefined;
}

export interface PeerTools {
  readonly find: (requestId: string) => DirectInbox | undefined;
  /** Called when it was closed because of what it sent, and because it sent nothing. */
  readonly onRefused: (reason: string) => void;
  /** Called when a worker may be offered jobs over this connection. */
  readonly onWorker: (workerId: string) => void;
}

/** The front end's side of one connection from a worker. */
export class Peer {
  readonly #socket: Socket;
  readonly #tools: PeerTools;
  readonly #runs = new Map<number, PeerRun>();
  readonly #proof: NodeJS.Timeout;
  #isProven = false;
  #refusals = 0;
  #offers = 0;

  constructor(socket: Socket, tools: PeerTools) {
    this.#socket = socket;
    this.#tools = tools;
    const reader = new MessageReader({
      message: (kind, run, body) => this.#receive(kind, run, body),
      bytes: (run, part) => this.#receiveBytes(run, part),
    });
    this.#proof = setTimeout(() => this.#refuse('It showed no token in time'), PROVE_WITHIN_MS);
    // Each run may wait until the connection takes more.
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS).setMaxListeners(0);
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
        // All of it was copied to where it belongs. Left to V8, large payloads and frames make it collect all of its heap.
        freeNow(chunk);
      } catch (error) {
        this.#refuse((error as Error).message);
      }
    });
    socket.setTimeout(IDLE_MS, () => this.#runs.size === 0 && socket.destroy());
    socket.on('error', ignored('it is closed then, and its runs go on elsewhere'));
    socket.on('close', () => this.#end());
  }

  /** True of a worker's connection over which nothing runs. */
  get isIdle(): boolean {
    return this.#isProven && this.#runs.size === 0;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Offers a job to the worker at the other end, with its payload. False when this connection has no room for it. */
  offer(inbox: DirectInbox, job: LiveJob, gpuId: number): boolean {
    const runId = offeredRun(++this.#offers);
    const message = jsonMessage(KIND.offer, runId, job);
    if (this.#socket.destroyed || this.#runs.size >= MOST_RUNS || message.length > SMALL_BYTES) return false;
    const run = this.#newRun(runId, inbox, gpuId);
    this.#runs.set(runId, run);
    send(this.#socket, message);
    this.#grant(runId, run, inbox.offered(run.sender), true).catch(unexpected);
    return true;
  }

  #end(): void {
    clearTimeout(this.#proof);
    for (const run of this.#runs.values()) {
      run.isCurrent = false;
      run.inbox.lose(run.sender, false);
    }
    this.#runs.clear();
  }

  #refuse(reason: string): void {
    this.#tools.onRefused(reason);
    this.#socket.destroy();
  }

  #receive(kind: number, runId: number, body: Buffer): void {
    if (kind === KIND.open) {
      this.#open(runId, body);
      return;
    }
    if (!this.#isProven) throw new WrongMessage(`A message of kind ${kind} without a token`);
    const run = this.#runs.get(runId);
    // What a run still sends when it was refused.
    if (!run) return;
    if (run.frame) throw new WrongMessage('A message in the middle of a frame');
    if (kind === KIND.frame) this.#beginFrame(run, body);
    else if (kind === KIND.taken) run.inbox.take(run.sender, run.gpuId);
    else if (kind === KIND.leave || kind === KIND.declined) this.#leave(runId, run);
    else if (kind === KIND.done) this.#answer(runId, run, { type: 'done', summary: summaryOf(body) });
    else if (kind === KIND.failed) this.#answer(runId, run, { type: 'failed', error: errorOf(body) });
    else throw new WrongMessage(`A message of unknown kind ${kind}`);
  }

  #open(runId: number, body: Buffer): void {
    const open = openSchema.parse(JSON.parse(body.toString()));
    const inbox = this.#tools.find(open.requestId);
    if (inbox && !inbox.isToken(open.token)) throw new WrongMessage('A wrong token');
    if (this.#runs.has(runId) || this.#runs.size >= MOST_RUNS) throw new WrongMessage('Too many runs');
    const run = inbox && this.#newRun(runId, inbox, open.gpuId);
    const answer = run ? run.inbox.accept(open, run.sender) : { refused: 'gone' as const };
    if (inbox) this.#prove(open.worker);
    if (!run || 'refused' in answer) {
      if (!this.#isProven && ++this.#refusals > MOST_REFUSALS) throw new WrongMessage('Too many unknown requests');
      send(this.#socket, jsonMessage(KIND.refusal, runId, { why: 'refused' in answer ? answer.refused : 'gone' }));
      return;
    }
    this.#runs.set(runId, run);
    this.#grant(runId, run, answer.firstFrame, open.wantsPayload).catch(unexpected);
  }

  #prove(workerId: string | undefined): void {
    if (this.#isProven) return;
    this.#isProven = true;
    clearTimeout(this.#proof);
    if (workerId !== undefined) this.#tools.onWorker(workerId);
  }

  #newRun(runId: number, inbox: DirectInbox, gpuId: number): PeerRun {
    const sender: Sender = {
      read: (frame) => send(this.#socket, numbersMessage(KIND.read, runId, frame)),
      refuse: (why: Refusal) => {
        run.isCurrent = false;
        this.#runs.delete(runId);
        send(this.#socket, jsonMessage(KIND.refusal, runId, { why }));
      },
    };
    const run: PeerRun = { inbox, sender, gpuId, isCurrent: true, frame: undefined };
    return run;
  }

  async #grant(runId: number, run: PeerRun, firstFrame: number, wantsPayload: boolean): Promise<void> {
    const parts = wantsPayload ? Object.entries(partsOf(run.inbox.payload)) : [];
    const grant: Grant = { firstFrame, parts: parts.map(([name, { length }]) => ({ name, bytes: length })) };
    send(this.#socket, jsonMessage(KIND.grant, runId, grant));
    for (const [, part] of parts) await sendBytes(this.#socket, runId, part, () => run.isCurrent);
  }

  #beginFrame(run: PeerRun, body: Buffer): void {
    if (body.length !== 8) throw new WrongMessage('A frame without its number and length');
    const [frameIndex, length] = [body.readUInt32BE(0), body.readUInt32BE(4)];
    if (length > LARGEST_FRAME_BYTES) throw new WrongMessage(`A frame of ${length} bytes`);
    run.inbox.announce(run.sender, length);
    run.frame = { frameIndex, bytes: new IncomingBytes([length]) };
    this.#endFrame(run);
  }

  #receiveBytes(runId: number, part: Buffer): void {
    const run = this.#runs.get(runId);
    if (!run && this.#isProven) return;
    if (!run?.frame) throw new WrongMessage('Bytes of no frame');
    run.frame.bytes.add(part);
    this.#endFrame(run);
  }

  /** Hands the frame on once it is whole. */
  #endFrame(run: PeerRun): void {
    if (!run.frame?.bytes.isWhole) return;
    const { frameIndex, bytes } = run.frame;
    run.frame = undefined;
    run.inbox.frame(run.sender, { frameIndex, data: bytes.buffers[0] as Buffer });
  }

  #answer(runId: number, run: PeerRun, entry: Parameters<DirectInbox['end']>[1]): void {
    run.isCurrent = false;
    this.#runs.delete(runId);
    run.inbox.end(run.sender, entry);
  }

  #leave(runId: number, run: PeerRun): void {
    run.isCurrent = false;
    this.#runs.delete(runId);
    run.inbox.lose(run.sender, true);
  }
}
