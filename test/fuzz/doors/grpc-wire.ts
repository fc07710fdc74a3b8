import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { FARM, MONOLITHIC, type TestClient } from '../../grpc/clients.ts';
import { mutateBytes } from '../mutate.ts';
import type { Random } from '../random.ts';

/** The port of gRPC below its messages: frames of HTTP/2 that are damaged, cut off or out of order. */

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const END_HEADERS = 4;
const END_STREAM = 1;
const SETTLES_MS = 20;
/** Of how many cases one asks whether the server still answers. */
const ASK_EVERY = 20;

export function grpcWireDoor(port: number, client: TestClient) {
  return async (random: Random) => {
    const path = random.pick([`/${MONOLITHIC}/Health`, `/${FARM}/GetRender`, `/${FARM}/Stream`, '/nowhere/x']);
    const frames = [
      frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
      ...callFrames(random, path),
      ...random.some(extras(random)),
    ];
    const whole = Buffer.concat([PREFACE, ...frames]);
    await exchange(port, random.chance(0.9) ? mutateBytes(random, whole) : whole);
    if (random.below(ASK_EVERY) === 0) await client.unary(MONOLITHIC, 'Health', {}, { timeoutMs: 15_000 });
  };
}

function callFrames(random: Random, path: string): Buffer[] {
  const message = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from([0x0a, 0])]);
  const headers = Buffer.concat([
    // The method POST and the scheme http, of HPACK's static table.
    Buffer.from([0x83, 0x86]),
    Buffer.from([0x04]),
    text(path),
    ...[':authority', 'localhost', 'content-type', 'application/grpc', 'te', 'trailers'].flatMap((word, place) =>
      place % 2 === 0 ? [Buffer.from([0]), text(word)] : [text(word)],
    ),
  ]);
  const stream = random.pick([1, 1, 1, 3, 0, 2]);
  return [frame(FRAME.headers, END_HEADERS, stream, headers), frame(FRAME.data, END_STREAM, stream, message)];
}

function extras(random: Random): Buffer[] {
  const stream = random.below(4);
  return [
    frame(FRAME.reset, 0, stream, Buffer.alloc(4)),
    frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    frame(FRAME.goAway, 0, 0, Buffer.alloc(8)),
    frame(FRAME.windowUpdate, 0, stream, Buffer.from([0x7f, 0xff, 0xff, 0xff])),
    frame(FRAME.continuation, END_HEADERS, stream, random.bytes(9)),
    frame(random.below(256), random.below(256), stream, random.bytes(random.below(30))),
  ];
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A text in HPACK, shorter than 127 bytes. */
function text(word: string): Buffer {
  return Buffer.concat([Buffer.from([word.length]), Buffer.from(word)]);
}

/** Sends the bytes, gives the server a moment, and leaves. */
async function exchange(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  socket.write(bytes);
  await Promise.race([once(socket, 'close').catch(() => {}), delay(SETTLES_MS)]);
  socket.destroy();
}
