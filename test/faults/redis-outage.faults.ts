import assert from 'node:assert/strict';
import { openAsBlob } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { startFarm } from '../support/farm.ts';
import { RedisServer } from '../support/redis-servers.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const API_KEY = 'a-key-for-this-test';
const HANGS_AFTER_MS = 30_000;

it('answers 503 while Redis is down, and works again when it is back', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-outage-'));
  const port = await freePort();
  let redis = await RedisServer.start(folder, { lines: ['appendonly yes'] }, { port });
  try {
    await using farm = await startFarm({
      models: { small: SMALL_MODEL },
      redis: { url: `redis://127.0.0.1:${port}` },
      auth: { api_keys: [API_KEY] },
    });
    const headers = { authorization: `Bearer ${API_KEY}` };
    const speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(0.4));
    assert.equal((await fetch(`${farm.url}/v1/renders`)).status, 401);
    assert.equal((await fetch(`${farm.url}/dashboard`)).status, 401);
    const { id } = await submit(farm.url, speech, headers);

    await redis.kill('SIGTERM');
    // Nobody starts Redis before these answers have come: a request that waited for it would never be answered.
    const signal = AbortSignal.timeout(HANGS_AFTER_MS);
    const answers = await Promise.all([
      fetch(`${farm.url}/v1/renders`, { headers, signal }),
      fetch(`${farm.url}/v1/renders/${id}`, { headers, signal }),
      fetch(`${farm.url}/v1/renders`, { headers, signal, method: 'POST', body: new FormData() }),
    ]);
    for (const answer of answers) {
      assert.equal(answer.status, 503);
      assert.ok(Number(answer.headers.get('retry-after')) > 0);
      assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'redis_unavailable');
    }
    assert.equal((await fetch(`${farm.url}/healthz`)).status, 200);

    redis = await redis.again();
    await untilCompleted(farm.url, id, headers);
    const next = await submit(farm.url, speech, headers);
    await untilCompleted(farm.url, next.id, headers);

    // A farm that is ended while Redis is away waits for it in vain, and hands nothing back.
    await redis.kill('SIGTERM');
    await farm.farm.stop();
    const said = (name: string, text: string) =>
      farm.log.filter((line) => line.startsWith(`${name} `) && line.includes(text)).length;
    for (const name of ['gpu-0', 'media']) {
      assert.equal(said(name, 'drained'), 1, `${name} was not killed at the end of its time`);
      assert.equal(said(name, 'Redis is away'), 2, 'once an outage');
      assert.equal(said(name, 'Redis is back'), 1);
      assert.equal(said(name, 'fault of the queue'), 0);
    }
  } finally {
    await redis.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  }
});

async function submit(url: string, speech: string, headers: Record<string, string>): Promise<{ id: string }> {
  const body = new FormData();
  body.set('audio', await openAsBlob(speech), 'speech.wav');
  const answer = await fetch(`${url}/v1/renders`, { method: 'POST', body, headers });
  assert.equal(answer.status, 202);
  return (await answer.json()) as { id: string };
}

/** Also through answers of 503 while connections come back. */
async function untilCompleted(url: string, id: string, headers: Record<string, string>): Promise<void> {
  await until(`render ${id} is completed`, async () => {
    const answer = await fetch(`${url}/v1/renders/${id}`, { headers });
    if (answer.status === 503) return false;
    const { status, error } = (await answer.json()) as { status: string; error: unknown };
    assert.ok(status !== 'failed' && status !== 'cancelled', JSON.stringify(error));
    return status === 'completed';
  });
}
