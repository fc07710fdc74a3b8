import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import { buildApp } from '../../api/app.ts';
import { refusalOf, SocketClient } from '../live/socket-client.ts';
import { startApi } from '../support/api.ts';
import { SILENT_LOGGER } from '../support/quiet-log.ts';
import { until } from '../support/until.ts';

const KEY = 'a key with spaces, ünd 34 signs of it';
const AUTH = { keys: [{ name: 'studio', role: 'render', sha256: sha256(KEY) }] };
const OTHERS = { keys: [{ name: 'other', role: 'render', sha256: sha256('another key, as long as keys are') }] };

describe('WebSockets', async () => {
  const api = await startApi({
    auth: AUTH,
    http: { allowed_origins: ['https://shop.example'] },
    limits: { drain_seconds: 1 },
  });
  let url: string;
  const live = () => `${url}/v1/live`;

  before(async () => {
    url = (await api.app.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws');
  });

  /** The last words of the farm, after `say`. */
  const lastWords = async (say: (client: SocketClient) => void) => {
    await using client = await SocketClient.open(live(), { key: KEY });
    say(client);
    const message = await client.next();
    assert.ok(message && 'error' in message);
    const { code } = message.error as { code: string };
    return { code, closed: await client.closed };
  };

  it('are opened with a key, as a browser and as any other program sends it, and not without', async () => {
    await using browser = await SocketClient.open(live(), { key: KEY });
    assert.equal(browser.socket.protocol, 'lipsync.v1', 'the key is not sent back');
    const { status, error } = await refusalOf(live());
    assert.deepEqual([status, error.code], [401, 'unauthorised']);
    const wrong = await refusalOf(live(), { key: 'another' });
    assert.deepEqual([wrong.status, wrong.error.code], [401, 'unauthorised']);
  });

  it('are refused to pages of other origins, but for those that the configuration names', async () => {
    const { status, error } = await refusalOf(live(), { key: KEY, headers: { origin: 'https://evil.example' } });
    assert.deepEqual([status, error.code], [403, 'origin_refused']);
    await using allowed = await SocketClient.open(live(), { key: KEY, headers: { origin: 'https://shop.example' } });
    assert.equal(allowed.socket.readyState, allowed.socket.OPEN);
  });

  it('answer a request that opens none, and leave other addresses and other upgrades alone', async () => {
    const headers = { authorization: `Basic ${Buffer.from(`:${KEY}`).toString('base64')}` };
    const plain = await api.app.inject({ url: '/v1/live', headers });
    assert.deepEqual([plain.statusCode, plain.json().error.code], [426, 'upgrade_required']);
    const other = await refusalOf(`${url}/healthz`, { key: KEY }).catch(() => undefined);
    assert.notEqual(other?.status, 101);
  });

  it('say in the form of all errors what is wrong with a message', async () => {
    const refused = { code: 1008, reason: 'request_invalid' };
    for (const say of [
      (client: SocketClient) => client.say({ type: 'start' }),
      (client: SocketClient) => client.say({ type: 'open', sample_rate: 5 }),
      (client: SocketClient) => client.say({ type: 'open', modle_id: 'demo' }),
      (client: SocketClient) => client.socket.send('{'),
      (client: SocketClient) => client.socket.send(Buffer.alloc(4)),
    ]) {
      assert.deepEqual(await lastWords(say), { code: 'request_invalid', closed: refused });
    }
    assert.deepEqual(await lastWords((client) => client.say({ type: 'open', model_id: 'nobody' })), {
      code: 'model_unknown',
      closed: { code: 1008, reason: 'model_unknown' },
    });
  });

  it('are cut off when their client answers no ping, and stay while it does', async () => {
    const other = await buildApp(api.services, SILENT_LOGGER, { pingEveryMs: 100, openWithinMs: 60_000 });
    const address = `${(await other.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws')}/v1/live`;
    try {
      await using dead = await SocketClient.open(address, { key: KEY, autoPong: false });
      assert.deepEqual(await dead.closed, { code: 1006, reason: '' });
      // Again where this process was held up for so long that no answer could come in time.
      await until('one that answers is asked again', async () => {
        await using alive = await SocketClient.open(address, { key: KEY });
        await once(alive.socket, 'ping');
        return await Promise.race([once(alive.socket, 'ping').then(() => true), alive.closed.then(() => false)]);
      });
    } finally {
      await other.close();
    }
  });

  it('are closed when no session is opened in time', async () => {
    const other = await buildApp(api.services, SILENT_LOGGER, { pingEveryMs: 60_000, openWithinMs: 100 });
    const address = `${(await other.listen({ host: '127.0.0.1', port: 0 })).replace('http', 'ws')}/v1/live`;
    try {
      await using client = await SocketClient.open(address, { key: KEY });
      const message = await client.next();
      assert.ok(message && 'error' in message);
      assert.deepEqual(await client.closed, { code: 1008, reason: 'request_timed_out' });
    } finally {
      await other.close();
    }
  });

  it('take no message beyond the limit', async () => {
    await using client = await SocketClient.open(live(), { key: KEY });
    client.socket.send(Buffer.alloc(2 ** 20 + 1));
    assert.equal((await client.closed).code, 1009);
  });

  it('end when their key is removed', async (t) => {
    t.after(() => api.reconfigure({ auth: AUTH }));
    await using client = await SocketClient.open(live(), { key: KEY });
    await api.reconfigure({ auth: OTHERS });
    const message = await client.next();
    assert.ok(message && 'error' in message);
    assert.deepEqual(await client.closed, { code: 1008, reason: 'unauthorised' });
  });

  it('are told when the front end ends', async () => {
    await using client = await SocketClient.open(live(), { key: KEY });
    const closed = api.app.close();
    const message = await client.next();
    assert.ok(message && 'error' in message);
    assert.deepEqual(await client.closed, { code: 1001, reason: 'farm_draining' });
    await closed;
  });
});

function sha256(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}
