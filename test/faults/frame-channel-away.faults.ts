import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { MONOLITHIC, TestClient } from '../grpc/clients.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';

const FRAMES = 32;
const MESSAGE = {
  ...{ model_id: 'small', batch_size: FRAMES, sample_rate: 16_000 },
  raw_audio: Buffer.alloc(FRAMES * 640 * 4, 3),
};

/** The address between a worker and its front end, where the connection can be broken and refused. */
describe('a farm whose frames have a bad line', () => {
  const lines = new Set<Socket>();
  /** Breaks each connection once the worker has sent so much on it. */
  let breakAfterBytes = Number.POSITIVE_INFINITY;
  let breaks = 0;
  const entrance = createServer((worker) => {
    const front = connect(listenPort, '127.0.0.1');
    let sent = 0;
    worker.on('data', (chunk) => {
      sent += chunk.length;
      front.write(chunk);
      if (sent < breakAfterBytes || worker.destroyed) return;
      breaks++;
      worker.destroy();
      front.destroy();
    });
    front.pipe(worker);
    worker.on('close', () => front.end());
    for (const end of [worker, front]) {
      lines.add(end);
      end.on('error', () => {});
    }
  });
  let listenPort: number;
  let farm: TestFarm;
  let client: TestClient;

  before(async () => {
    listenPort = await freePort();
    await once(entrance.listen(0, '127.0.0.1'), 'listening');
    const { port } = entrance.address() as AddressInfo;
    const live = { frame_listen: `127.0.0.1:${listenPort}`, frame_advertise: `127.0.0.1:${port}` };
    farm = await startFarm({ models: { small: SMALL_MODEL }, live });
    client = new TestClient(farm.grpcAddress);
  });
  after(async () => {
    client.close();
    await farm[Symbol.asyncDispose]();
    for (const line of lines) line.destroy();
    entrance.close();
  });

  const ask = async () => {
    const answer = await client.unary<{ error: string; composited_frames: Buffer[] }>(
      MONOLITHIC,
      'InferBatchComposite',
      MESSAGE,
    );
    assert.equal(answer.error, '');
    return answer.composited_frames;
  };
  const said = (process: string, words: string) =>
    farm.log.filter((line) => line.startsWith(process) && line.includes(words)).length;

  it('sends each frame once, however often the line breaks', async () => {
    const whole = await ask();
    assert.equal(whole.length, FRAMES);
    const bytes = whole.reduce((sum, frame) => sum + frame.length, 0);
    breakAfterBytes = bytes / 3;
    // A worker that was once too slow to connect leaves the line alone for ten seconds.
    await until('the line has broken', async () => {
      assert.deepEqual(await ask(), whole);
      return breaks > 0;
    });
    breakAfterBytes = Number.POSITIVE_INFINITY;
    assert.deepEqual(await ask(), whole);
  });

  it('sends its frames over Redis when the front end is not reached, and says so once', async () => {
    const whole = await ask();
    entrance.close();
    for (const line of lines) line.destroy();
    for (let time = 0; time < 3; time++) assert.deepEqual(await ask(), whole);
    await until('both have said so', () => said('api', 'firewalls') > 0 && said('gpu-0', 'firewalls') > 0);
    assert.equal(said('api', 'firewalls'), 1);
    // It may have said it of the broken line, too, and then that the line is there again.
    const told = farm.log.filter((line) => line.startsWith('gpu-0') && /firewalls|directly again/.test(line));
    for (const [index, line] of told.entries()) {
      assert.equal(line.includes('firewalls'), index % 2 === 0, told.join('\n'));
    }
  });
});
