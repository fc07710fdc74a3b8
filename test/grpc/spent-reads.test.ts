import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { FieldReader } from '../../api/grpc/field-reader.ts';
import { SpentReads } from '../../api/grpc/spent-reads.ts';
import { MB } from '../../shared/units.ts';

const HEADER = 9;
const FIELD = 2;

/** Uses the parts [start, end) of what was read at once, then a part of the next read. */
function isGivenBack(bytes: number, parts: readonly (readonly [number, number])[]): boolean {
  const [memory, next] = [new ArrayBuffer(bytes), new ArrayBuffer(100)];
  const spent = new SpentReads();
  for (const [start, end] of parts) spent.used(new Uint8Array(memory, start, end - start));
  assert.equal(memory.detached, false, 'HTTP/2 may still be reading it');
  spent.used(new Uint8Array(next));
  return memory.detached;
}

describe('memory of what was read', () => {
  it('is given back when there is nothing else in it', () => {
    assert.ok(isGivenBack(100, [[0, 100]]));
    assert.ok(isGivenBack(100, [[HEADER, 100]]));
    assert.ok(
      isGivenBack(100, [
        [0, 40],
        [40 + HEADER, 95],
      ]),
    );
  });

  it('stays where another call may have bytes in it', () => {
    assert.ok(!isGivenBack(100, [[HEADER + 1, 100]]));
    assert.ok(!isGivenBack(100, [[0, 100 - HEADER - 1]]));
    assert.ok(
      !isGivenBack(100, [
        [0, 40],
        [40 + HEADER + 1, 100],
      ]),
    );
    assert.ok(
      !isGivenBack(100, [
        [0, 40],
        [40, 100],
      ]),
    );
  });

  it('is given back while a message comes, and calls that share its connection keep what they have', async (t) => {
    const server = createServer();
    t.after(() => server.close());
    const received = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const reads = new Set<ArrayBufferLike>();
    server.on('stream', (stream, headers) => {
      const read = headers[':path'] === '/sunk' ? readIntoSink(stream, reads) : readWhole(stream);
      const place = headers[':path'] === '/sunk' ? 0 : 1;
      read.then(received[place]?.resolve, received[place]?.reject);
      stream.respond();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    t.after(() => session.destroy());
    const [sunk, kept] = [randomBytes(8 * MB), randomBytes(MB)];
    const [first, second] = ['/sunk', '/kept'].map((path) => session.request({ ':method': 'POST', ':path': path }));
    first?.end(message(sunk));
    second?.end(kept);
    const hashes = await Promise.all(received.map(({ promise }) => promise));
    assert.deepEqual(hashes, [sunk, kept].map(hashOf));
    const givenBack = [...reads].filter((read) => (read as ArrayBuffer).detached).length;
    assert.ok(givenBack > reads.size / 4, `${givenBack} of ${reads.size} were given back`);
  });
});

/** The hash of a field's contents, taken as they come. */
async function readIntoSink(stream: ServerHttp2Stream, reads: Set<ArrayBufferLike>): Promise<string> {
  const hash = createHash('sha256');
  const reader = new FieldReader(16 * MB, FIELD, () => ({ push: (bytes) => void hash.update(bytes) }));
  stream.on('data', (bytes: Buffer) => {
    reads.add(bytes.buffer);
    reader.write(bytes);
  });
  await once(stream, 'end');
  return hash.digest('hex');
}

/** The hash of all bytes, which are kept as they came until the end. */
async function readWhole(stream: ServerHttp2Stream): Promise<string> {
  const pieces: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => void pieces.push(bytes));
  await once(stream, 'end');
  return hashOf(Buffer.concat(pieces));
}

/** A message with its prefix that has one field of bytes. */
function message(contents: Buffer): Buffer {
  const head = [FIELD * 8 + 2];
  for (let rest = contents.length; rest > 0; rest = Math.floor(rest / 128))
    head.push((rest % 128) | (rest > 127 ? 128 : 0));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(head.length + contents.length, 1);
  return Buffer.concat([prefix, Buffer.from(head), contents]);
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
