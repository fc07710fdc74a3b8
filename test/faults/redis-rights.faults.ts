import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { FARM_COMMANDS, FARM_RULES } from '../../shared/redis/rights.ts';
import { f32, speech } from '../grpc/speech.ts';
import { SocketClient } from '../live/socket-client.ts';
import { startFarm } from '../support/farm.ts';
import { missing, RedisServer } from '../support/redis-servers.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** A whole farm as the user whose rights docs/ops/redis.md lists: Redis refuses it nothing, and it asks for no more. */

const PASSWORD = 'password-of-the-farm';

for (const program of ['redis-server', 'valkey-server']) {
  it(`a farm with ${program} needs no other rights than the documented ones`, { skip: missing(program) }, async (t) => {
    await runWithRights(program, t);
  });
}

async function runWithRights(program: string, t: TestContext): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-rights-'));
  const port = await freePort();
  const lines = [`user farm on >${PASSWORD} ${FARM_RULES.join(' ')}`];
  const server = await RedisServer.start(folder, { lines, program }, { port });
  try {
    await using farm = await startFarm({
      models: { small: SMALL_MODEL },
      redis: { url: `redis://farm:${PASSWORD}@127.0.0.1:${port}` },
      live: { frame_channel: 'redis' },
      render: { segment_frames: 25, attempts: 1, farm_fault_minutes: 0 },
      retention: { every_minutes: 0 },
      dashboard: { read_only: false },
    });
    const { client, url } = farm;
    const file = path.join(farm.folder, 'speech.wav');
    await writeWav(file, syllables(6));
    const events = await fetch(`${url}/v1/events`, { headers: { accept: 'text/event-stream' } });
    const [video, cancelled] = [
      await client.submit(file, { output: 'mp4', idempotencyKey: 'once', labels: { take: '1' } }),
      await client.submit(file),
    ];
    await client.cancel(cancelled.id);
    await client.finished(video.id);
    await client.receipt(video.id);
    await failedOnce(farm.folder, client);
    await streamed(url);
    await client.loadModel('small', 0);
    await client.drainGpu(0);
    await until('the GPU is drained', async () => (await client.gpus()).gpus[0]?.state === 'drained');
    await client.resumeGpu(0);
    await client.list(10);
    await client.remove(cancelled.id);
    for (const way of [
      '/v1/queues/history',
      '/metrics',
      '/readyz',
      '/dashboard/api/queues',
      '/v1/webhooks/deliveries',
    ]) {
      const { status } = await fetch(`${url}${way}`);
      assert.ok(status < 500, `${way}: ${status}`);
    }
    const collected = await fetch(`${url}/v1/gc`, { method: 'POST' });
    assert.ok(collected.status < 500, `${collected.status}`);
    await events.body?.cancel();
    await until('workers have beaten and reported', async () => (await usedCommands(server)).includes('hincrbyfloat'));

    const refused = (await server.client.call('ACL', 'LOG')) as unknown[];
    assert.deepEqual(refused, []);
    assert.ok(!farm.log.some((line) => line.includes('NOPERM')));
    // Whatever else the farm had asked for would have been refused. The rest of the list is for what seldom happens.
    const used = (await usedCommands(server)).filter((name) => FARM_COMMANDS.includes(name));
    assert.ok(used.length > FARM_COMMANDS.length / 2, used.join(' '));
    t.diagnostic(`figure: ${used.length} of ${FARM_COMMANDS.length} commands were used`);
  } finally {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

async function usedCommands({ client }: RedisServer): Promise<string[]> {
  const text = await client.info('commandstats');
  return [...text.matchAll(/^cmdstat_([^:]+):calls=[1-9]/gm)].map(([, name = '']) => name);
}

/** A render that fails, and is taken up again. */
async function failedOnce(folder: string, client: Awaited<ReturnType<typeof startFarm>>['client']): Promise<void> {
  const file = path.join(folder, 'no-sound.wav');
  await writeWav(file, new Float32Array(0));
  const { id } = await client.submit(file);
  await until('it has failed', async () => (await client.get(id)).status === 'failed');
  await client.retry(id);
  await until('it has failed again', async () => (await client.get(id)).status === 'failed');
}

async function streamed(url: string): Promise<void> {
  await using socket = await SocketClient.open(`${url.replace('http', 'ws')}/v1/live`);
  socket.say({ type: 'open', model_id: 'small' });
  socket.socket.send(f32(speech(1)));
  socket.say({ type: 'end' });
  let frames = 0;
  for (let message = await socket.next(); message; message = await socket.next()) if (message.frame) frames++;
  assert.equal(frames, 25);
}
