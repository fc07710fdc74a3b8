import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { Bucket } from '../../shared/s3/bucket.ts';
import { MultipartUploads } from '../../shared/s3/multipart.ts';
import { MB } from '../../shared/units.ts';
import { startDoor } from '../support/door.ts';
import { S3_KEYS, startS3, startS3InProcess } from '../support/s3-server.ts';

describe('a bucket', () => {
  let server: Awaited<ReturnType<typeof startS3>>;
  let bucket: Bucket;
  before(async () => {
    server = await startS3();
    bucket = new Bucket(server.settings, { patienceMs: 0 });
  });
  after(() => server.close());

  it('takes a file in parts and gives it back, whole or a range of it', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-bucket-'));
    t.after(() => rm(folder, { recursive: true }));
    const content = Buffer.from(Uint8Array.from({ length: 9 * MB }, (_, index) => (index * index) % 251));
    await writeFile(path.join(folder, 'large'), content);
    await bucket.upload('large', path.join(folder, 'large'));
    assert.equal((await bucket.head('large'))?.bytes, content.length);
    assert.ok(content.equals(await buffer(bucket.read('large'))));
    const range = { start: 8 * MB - 3, end: 8 * MB + 3 };
    assert.ok(content.subarray(range.start, range.end + 1).equals(await buffer(bucket.read('large', range))));
  });

  it('says of what is not there that it is not', async () => {
    assert.equal(await bucket.head('none'), undefined);
    assert.equal(await bucket.contents('none'), undefined);
    await assert.rejects(buffer(bucket.read('none')), { code: 'storage_failed', message: /Could not read none/ });
  });

  it('lists, copies and removes below its prefix alone', async () => {
    const other = new Bucket({ ...server.settings, prefix: 'here/also' });
    for (const key of ['a/1', 'a/2', 'b/1']) await bucket.put(key, Buffer.from(key));
    await other.put('a/3', Buffer.from('another'));
    const keys = async (prefix: string) => {
      const found: string[] = [];
      for await (const { key } of bucket.list(prefix)) found.push(key);
      return found;
    };
    assert.deepEqual(await keys('a/'), ['a/1', 'a/2']);
    await bucket.copy('a/1', 'c/ü 1');
    assert.equal(String(await bucket.contents('c/ü 1')), 'a/1');
    await bucket.remove(['a/1', 'a/2', 'a/none']);
    assert.deepEqual(await keys('a/'), []);
    assert.equal(String(await other.contents('a/3')), 'another');
  });

  it('gives out addresses that answer as they were asked to', async () => {
    await bucket.put('v/1.mp4', Buffer.from('0123456789'));
    const headers = { contentType: 'video/mp4', disposition: 'inline; filename="one.mp4"' };
    const answer = await fetch(await bucket.addressOf('v/1.mp4', headers, 60), { headers: { range: 'bytes=3-5' } });
    assert.equal(answer.status, 206);
    assert.equal(answer.headers.get('content-type'), headers.contentType);
    assert.equal(answer.headers.get('content-disposition'), headers.disposition);
    assert.equal(await answer.text(), '345');
  });

  it('goes on with an answer that broke off', async () => {
    const content = Buffer.alloc(5 * MB, 'what was read once is not read again ');
    await bucket.put('broken', content);
    await using door = await startDoor(Number(new URL(server.settings.endpoint).port));
    const behind = new Bucket({ ...server.settings, endpoint: `http://127.0.0.1:${door.port}` });
    const got: Buffer[] = [];
    for await (const chunk of behind.read('broken')) {
      got.push(chunk as Buffer);
      if (got.length !== 1) continue;
      door.shut();
      setImmediate(() => door.open());
    }
    assert.ok(Buffer.concat(got).equals(content));
  });

  it('does with a clock that is wrong, and signs addresses by that of the server', async (t) => {
    const other = await startS3InProcess(t);
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() - 3 * 3600 * 1000 });
    const late = new Bucket(other);
    await late.put('a', Buffer.from('late'));
    assert.ok(late.nowMs() - Date.now() > 2.9 * 3600 * 1000);
    const address = await late.addressOf('a', { contentType: 'text/plain', disposition: 'inline' }, 60);
    assert.equal(await (await fetch(address)).text(), 'late');
  });

  it('takes a refusal for none, and reads what comes without a length to its end', async (t) => {
    const content = Buffer.alloc(100_000, 'in pieces of no known length ');
    let busy = 0;
    const answering = createServer((request, response) => {
      request.resume();
      if (request.method === 'GET')
        return void response.writeHead(200, { etag: '"1"' }).write(content, () => response.end());
      response.writeHead(request.headers['if-none-match'] ? 412 : 409, { 'content-type': 'application/xml' });
      response.end(`<Error><Code>OperationAborted</Code><Message>Another one writes it: ${busy++}.</Message></Error>`);
    });
    await once(answering.listen(0, '127.0.0.1'), 'listening');
    t.after(() => {
      answering.close();
      answering.closeAllConnections();
    });
    const { port } = answering.address() as AddressInfo;
    const there = new Bucket({ ...server.settings, endpoint: `http://127.0.0.1:${port}` }, { patienceMs: 2000 });
    await assert.rejects(there.put('x', Buffer.from('x')), { code: 'storage_failed', message: /OperationAborted/ });
    assert.ok(busy > 1, 'it passes by itself, so it is tried again');
    assert.equal(await there.put('x', Buffer.from('x'), { ifAbsent: true }), false);
    assert.ok(content.equals(await buffer(there.read('x'))));
  });

  it('names a bucket that is missing, a key that is not known, what the server cannot do, and one that is away', async (t) => {
    const missing = new Bucket({ ...server.settings, bucket: 'another' });
    await assert.rejects(missing.put('x', Buffer.from('x')), {
      code: 'storage_misconfigured',
      message: /no such bucket/,
    });
    process.env.AWS_ACCESS_KEY_ID = 'another';
    t.after(() => Object.assign(process.env, S3_KEYS));
    await assert.rejects(new Bucket(server.settings).put('x', Buffer.from('x')), { code: 'storage_denied' });
    Object.assign(process.env, S3_KEYS);
    const parts = new MultipartUploads(new Bucket(server.settings)).parts('x', 'of-nothing');
    await assert.rejects(parts, { code: 'storage_misconfigured', message: /the server cannot do this/ });
    const away = new Bucket({ ...server.settings, endpoint: 'http://127.0.0.1:9' }, { patienceMs: 0 });
    await assert.rejects(away.put('x', Buffer.from('x')), {
      code: 'storage_failed',
      message: /nothing listens there \(ECONNREFUSED\)/,
    });
  });

  for (const [name, status, code, advice] of [
    ['ExpiredToken', 400, 'storage_denied', /have expired/],
    ['SignatureDoesNotMatch', 403, 'storage_denied', /AWS_SECRET_ACCESS_KEY/],
    ['AccessDenied', 403, 'storage_denied', /docs\/ops\/storage\.md/],
    ['RequestTimeTooSkewed', 403, 'clock_wrong', /NTP/],
    ['PermanentRedirect', 301, 'storage_misconfigured', /region/],
    ['QuotaExceeded', 403, 'storage_full', /quota/],
    ['SlowDown', 503, 'storage_failed', /SlowDown: 503/],
  ] as const) {
    it(`says what to do about ${name}`, async (t) => {
      const answering = createServer((request, response) => {
        request.resume();
        response.writeHead(status, { 'content-type': 'application/xml' });
        response.end(`<Error><Code>${name}</Code><Message>In the words of the server.</Message></Error>`);
      });
      await once(answering.listen(0, '127.0.0.1'), 'listening');
      t.after(() => {
        answering.close();
        answering.closeAllConnections();
      });
      const { port } = answering.address() as AddressInfo;
      const there = new Bucket({ ...server.settings, endpoint: `http://127.0.0.1:${port}` }, { patienceMs: 0 });
      await assert.rejects(there.put('x', Buffer.from('x')), { code, message: advice });
    });
  }
});
