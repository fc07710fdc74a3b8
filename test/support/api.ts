import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { stringify } from 'yaml';
import { buildApp } from '../../api/app.ts';
import { openServices, type Services } from '../../api/services.ts';
import { PrivateRedis } from '../../cli/private-redis.ts';
import { type ArtifactStore, LocalArtifacts } from '../../shared/artifacts.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/process/log.ts';
import { producerConnection, waitUntilReady } from '../../shared/redis.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import type { RenderPlan, RenderRequest, RenderStatus } from '../../shared/renders/record.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from './sample-render.ts';

const READY_WITHIN_MS = 10_000;

export interface TestApi {
  /** The HTTP server as the front end composes it, for `app.inject`; it listens nowhere unless the test has it listen. */
  readonly app: FastifyInstance;
  readonly services: Services;
  /** What the services and the workers write to. */
  readonly store: RenderStore;
  readonly artifacts: ArtifactStore;
  /** Takes a render and moves it on to a status, as a worker would. Its files are the test's affair. */
  renderIn(status: RenderStatus, request?: Partial<RenderRequest>): Promise<string>;
}

/** Of three seconds of sound, in one segment. */
const PLAN: RenderPlan = { ...SAMPLE_PLAN, sampleCount: 48_000, frameCount: 75, segmentGpus: [0] };

/**
 * The front end for one test file: a Redis of its own, an empty store in a folder of its own, and no worker. All of it is
 * gone after the file's last test. Call it at the top of the file, before its tests.
 * @param settings in the form of config.yaml; without `models` there is the demo avatar, which need not be built.
 */
export async function startApi(settings: Record<string, unknown> = {}): Promise<TestApi> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-api-'));
  const server = await PrivateRedis.start(path.join(folder, 'redis'));
  const configPath = path.join(folder, 'config.yaml');
  await writeFile(configPath, stringify({ ...settings, redis: { url: server.url }, storage: { root: 'data' } }));
  const config = loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
  const log = createLogger('api', { ...config.logging, level: 'silent' });
  const redis = producerConnection(server.url);
  await waitUntilReady(redis, READY_WITHIN_MS);
  const services = openServices({ config, redis, log });
  const app = await buildApp(services, log);
  await app.ready();
  after(async () => {
    await app.close();
    await services.close();
    redis.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const store = new RenderStore(redis);
  const artifacts = new LocalArtifacts(config.storageRoot);
  return {
    app,
    services,
    store,
    artifacts,
    renderIn: (status, request) => renderIn(store, status, { ...SAMPLE_REQUEST, modelId: 'demo', ...request }),
  };
}

async function renderIn(store: RenderStore, status: RenderStatus, request: RenderRequest): Promise<string> {
  const id = newRenderId();
  await store.admit(id, request, Number.MAX_SAFE_INTEGER, undefined);
  const steps: [RenderStatus, () => Promise<boolean>][] = [
    ['preparing', () => store.startPreparing(id)],
    ['rendering', () => store.startRendering(id, PLAN)],
    ['stitching', () => store.startStitching(id)],
    ['completed', () => store.complete(id)],
  ];
  if (status === 'cancelled') await store.cancel(id);
  else if (status === 'failed') {
    await store.fail(id, new FarmError('audio_unreadable', 'ffmpeg found no sound in it').toReport());
  } else {
    const last = steps.findIndex(([step]) => step === status);
    for (const [, move] of steps.slice(0, last + 1)) await move();
  }
  return id;
}
