import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { stringify } from 'yaml';
import { buildApp } from '../../api/app.ts';
import { openServices, type Services } from '../../api/services.ts';
import { PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { ConfigReload } from '../../shared/config/reload.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { producerConnection, waitUntilReady } from '../../shared/redis/connections.ts';
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
  readonly artifacts: LocalArtifacts;
  /** What the front end has logged, from `warn` on. */
  readonly warnings: readonly Record<string, unknown>[];
  /** Lays settings over those of the file, which is read again before this resolves. */
  reconfigure(settings: Record<string, unknown>): Promise<void>;
  /** Takes a render and moves it on to a status, as a worker would. Its files are the test's affair. */
  renderIn(status: RenderStatus, request?: Partial<RenderRequest>, owner?: string): Promise<string>;
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
  const write = async (more: Record<string, unknown>) =>
    await writeFile(configPath, stringify({ ...more, redis: { url: server.url }, storage: { root: 'data' } }));
  await write(settings);
  const config = loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
  const warnings: Record<string, unknown>[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line)) });
  const reload = new ConfigReload(config, log);
  const redis = producerConnection(server.url);
  await waitUntilReady(redis, READY_WITHIN_MS);
  const services = openServices({ config, redis, log, reload });
  const app = await buildApp(services, log);
  await app.ready();
  after(async () => {
    reload.stop();
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
    warnings,
    async reconfigure(changes) {
      await write({ ...settings, ...changes });
      await reload.refresh();
    },
    renderIn: (status, request, owner) =>
      renderIn(store, status, { ...SAMPLE_REQUEST, modelId: 'demo', ...request }, owner),
  };
}

async function renderIn(
  store: RenderStore,
  status: RenderStatus,
  request: RenderRequest,
  owner: string | undefined,
): Promise<string> {
  const id = newRenderId();
  const owned = owner === undefined ? undefined : { name: owner, mostUnfinished: 0, idempotency: 'apart' as const };
  await store.admit(id, request, Number.MAX_SAFE_INTEGER, undefined, owned);
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
