import { after, describe } from 'node:test';
import { startGrpc } from '../../api/grpc/server.ts';
import { createLogger } from '../../shared/process/log.ts';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { TestClient } from '../grpc/clients.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { grpcDoor, liveSoundDoor } from './doors/grpc.ts';
import { grpcWireDoor } from './doors/grpc-wire.ts';
import { fuzz, isChosen } from './fuzz.ts';

/** A GPU worker that lives and takes no job: streams are let in, and their sound is read. */
const WORKER: Omit<Heartbeat, 'workerId'> = {
  ...{ gpuId: 0, host: 'h', pid: 1, startedAtMs: 0, provider: null, device: null, draining: false, runningJobs: 0 },
  ...{ eventLoopBlockedMaxMs: 0, models: [] },
};

if (isChosen('grpc', 'grpc-wire', 'live-sound')) {
  const { services, renderIn } = await startApi({
    server: { port: '127.0.0.1:0', queue_size: 1_000_000 },
    limits: { live_wait_seconds: 1 },
    live: { max_streams_per_gpu: 64 },
  });
  const server = await startGrpc(services, createLogger('api', { ...services.config.logging, level: 'silent' }));
  const heartbeat = startHeartbeat(services.redis, 'fuzz', () => WORKER, QUIET_LOG);
  await heartbeat.first;
  const client = new TestClient(server.address);
  const renderIds = [await renderIn('rendering'), await renderIn('completed'), await renderIn('failed'), 'rnone'];
  describe('gRPC', () => {
    fuzz('grpc', { cases: 120, percent: 16, atOnce: 32 }, grpcDoor(client, renderIds));
    fuzz('live-sound', { cases: 24, percent: 2, atOnce: 24 }, liveSoundDoor(client));
    const port = Number(server.address.split(':').at(-1));
    fuzz('grpc-wire', { cases: 60, percent: 2, atOnce: 8 }, grpcWireDoor(port, client));
    // Before Redis is stopped, which the file's own end does.
    after(async () => {
      client.close();
      await heartbeat.stop();
      await server.drain(1000);
    });
  });
}
