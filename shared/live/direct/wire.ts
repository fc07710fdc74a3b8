import type { Socket } from 'node:net';
import { z } from 'zod';
import { storedErrorSchema } from '../../formats/stored-error.ts';
import { gatherWrites } from '../../process/gathered-writes.ts';
import { liveSummarySchema } from '../frames.ts';

/**
 * What travels on a direct connection between a worker and a front end. A message is its length (u32, big-endian, of the
 * body), its kind (u8), its run (u32, a number that the worker chose for one run on this connection), and the body.
 * Many runs share a connection. Payloads and frames travel in pieces, so none holds the others up for long.
 */

/** Raise it when the other end of the version before would take a message wrongly. */
export const WIRE_VERSION = 1;
export const HEADER_BYTES = 9;
/** Bytes of payload or frame in one message. */
export const PIECE_BYTES = 256 * 1024;
/** All other messages are smaller than this. */
export const SMALL_BYTES = 16 * 1024;
/** A raw frame of 7680×4320 fits. */
export const LARGEST_FRAME_BYTES = 128 * 2 ** 20;
/** A worker sends on while less than this waits for its reader, so a frame more than this may wait. */
export const WINDOW_BYTES = 4 * 2 ** 20;

export const KIND = {
  /** Worker: JSON, `openSchema`. */
  open: 1,
  /** Worker: frame index and bytes of the frame, both u32; its bytes follow. */
  frame: 2,
  /** Either: bytes of the frame or payload that was announced last. */
  bytes: 3,
  /** Worker: JSON, the summary. */
  done: 4,
  /** Worker: JSON, a stored error. */
  failed: 5,
  /** Worker: the run ends here without an answer. */
  leave: 6,
  /** Worker: it is at the job that it was offered under this run. */
  taken: 7,
  /** Worker: it does not take the job that it was offered under this run. */
  declined: 8,
  /** Front end: JSON, `grantSchema`; the bytes of its parts follow. */
  grant: 10,
  /** Front end: JSON, `refusalSchema`. */
  refusal: 11,
  /** Front end: u32, the first frame that has not been read; LAST after `done` or `failed`. */
  read: 12,
  /** Front end: JSON, a live job, under a run that `offeredRun` names; its `grant` follows at once. */
  offer: 13,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** In `read`: everything has come. */
export const LAST = 0xffff_ffff;

/** The runs that a front end begins have numbers of their own. @param count from 1, of this connection. */
export const offeredRun = (count: number) => (0x8000_0000 | count) >>> 0;

export const openSchema = z.object({
  version: z.int().positive(),
  requestId: z.string().max(64),
  token: z.string().max(128),
  attempt: z.int().positive(),
  pickup: z.int().positive(),
  gpuId: z.int().nonnegative(),
  /** False on a connection that replaces a broken one: the payload has come. */
  wantsPayload: z.boolean(),
  /** Its id, of a worker that may be offered jobs over this connection; absent in older workers. */
  worker: z.string().max(128).optional(),
});
export type Open = z.infer<typeof openSchema>;

const MOST_PAYLOAD_BYTES = 1024 * 2 ** 20;
export const grantSchema = z.object({
  /** What is before it has come. */
  firstFrame: z.int().nonnegative(),
  /** Name and bytes of each part of the payload, in their order; empty when it is not wanted. */
  parts: z.array(z.object({ name: z.string(), bytes: z.int().nonnegative().max(MOST_PAYLOAD_BYTES) })).max(16),
});
export type Grant = z.infer<typeof grantSchema>;

export const refusalSchema = z.object({
  /** `fenced`: a later run has begun. `gone`: nobody waits. `over`: it was answered. */
  why: z.enum(['fenced', 'gone', 'over']),
});
export type Refusal = z.infer<typeof refusalSchema>['why'];

export const summaryOf = (body: Buffer) => liveSummarySchema.parse(JSON.parse(body.toString()));
export const errorOf = (body: Buffer) => storedErrorSchema.parse(JSON.parse(body.toString()));

/** The header of a message. @param bodyBytes of its body. */
export function header(kind: Kind, run: number, bodyBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(bytes, kind, run, bodyBytes);
  return bytes;
}

function writeHeader(message: Buffer, kind: Kind, run: number, bodyBytes: number): void {
  message.writeUInt32BE(bodyBytes, 0);
  message.writeUInt8(kind, 4);
  message.writeUInt32BE(run, 5);
}

export function jsonMessage(kind: Kind, run: number, body: object = {}): Buffer {
  const text = Buffer.from(JSON.stringify(body));
  return Buffer.concat([header(kind, run, text.length), text]);
}

/** A message whose body is some numbers. */
export function numbersMessage(kind: Kind, run: number, ...numbers: number[]): Buffer {
  const message = Buffer.allocUnsafe(HEADER_BYTES + 4 * numbers.length);
  writeHeader(message, kind, run, 4 * numbers.length);
  for (const [place, number] of numbers.entries()) message.writeUInt32BE(number, HEADER_BYTES + 4 * place);
  return message;
}

/** Writes messages, or their parts; all that is sent in one turn of the event loop leaves together. */
export function send(socket: Socket, ...parts: readonly Uint8Array[]): void {
  gatherWrites(socket);
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  // A small copy takes less than a part of a write.
  if (parts.length > 1 && bytes <= SMALL_BYTES) socket.write(Buffer.concat(parts, bytes));
  else for (const part of parts) socket.write(part);
}

/**
 * Sends bytes in pieces. Waits for the connection before each but the first, so that pieces of other runs come between.
 * @param isWanted asked before each piece; once it is false the rest is left out.
 */
export async function sendBytes(
  socket: Socket,
  run: number,
  bytes: Uint8Array,
  isWanted: () => boolean,
): Promise<void> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    await untilWritable(socket);
    if (!isWanted()) return;
    const piece = bytes.subarray(start, start + PIECE_BYTES);
    send(socket, header(KIND.bytes, run, piece.length), piece);
  }
}

/** Resolves when the connection takes more, or is lost. */
async function untilWritable(socket: Socket): Promise<void> {
  if (!socket.writableNeedDrain || socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const settle = () => {
      socket.off('drain', settle);
      socket.off('close', settle);
      resolve();
    };
    socket.on('drain', settle);
    socket.on('close', settle);
  });
}
