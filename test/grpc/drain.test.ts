import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { Open } from '../../api/grpc/messages/farm.ts';
import { failureOf, farmCode, HEALTH, type Message, MONOLITHIC, TestClient } from './clients.ts';
import { type Processes, prepareProcesses } from './processes.ts';
import { f32, speech } from './speech.ts';

const SECONDS = 1;
const FRAMES = 25;

describe('a gRPC server that is told to end', () => {
  it('finishes its calls, takes no new ones, and does not wait for those who watch its health', async () => {
    await using processes = await prepareProcesses({ limits: { drain_seconds: 60 } });
    const { api, client } = await startBoth(processes);
    const watch = client.watch(HEALTH, 'watch', { service: '' });
    watch.on('error', () => {});
    const seen = Promise.withResolvers<void>();
    watch.on('data', ({ status: said }: Message) => said === 'NOT_SERVING' && seen.resolve());

    const stream = openStream(client);
    const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
    await messages.next();
    api.kill('SIGTERM');
    await seen.promise;
    const late = new TestClient(processes.grpcAddress);
    const refused = await failureOf(late.unary(MONOLITHIC, 'ListModels', {}));
    assert.equal(refused.code, status.UNAVAILABLE);
    stream.write({ audio: f32(speech(SECONDS)) });
    stream.end();
    let frames = 0;
    for (let item = await messages.next(); !item.done; item = await messages.next()) if (item.value.frame) frames++;
    assert.equal(frames, FRAMES);
    const [exitCode] = await ended(api);
    assert.equal(exitCode, 0);
    for (const each of [client, late]) each.close();
  });

  it('tells calls that take too long that it is going', async () => {
    await using processes = await prepareProcesses({ limits: { drain_seconds: 1 } });
    const { api, client } = await startBoth(processes);
    const stream = openStream(client);
    const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
    await messages.next();
    api.kill('SIGTERM');
    const error = await failureOf(messages.next());
    assert.deepEqual([error.code, farmCode(error)], [status.UNAVAILABLE, 'farm_draining']);
    const [exitCode] = await ended(api);
    assert.equal(exitCode, 0);
    client.close();
  });
});

async function startBoth(processes: Processes) {
  const [api] = await Promise.all([processes.start('api'), processes.start('worker', '--gpu', '0')]);
  const client = new TestClient(processes.grpcAddress);
  await client.untilHealth('SERVING');
  return { api, client };
}

function openStream(client: TestClient) {
  const stream = client.stream();
  stream.write({ open: { model_id: 'small' } as Open });
  return stream;
}

async function ended(child: Awaited<ReturnType<Processes['start']>>): Promise<unknown[]> {
  return child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
}
