import path from 'node:path';
import type { Redis } from 'ioredis';
import { openArtifacts, storeSettings } from '../shared/artifacts/open.ts';
import type { Config } from '../shared/config/load.ts';
import type { ConfigReload } from '../shared/config/reload.ts';
import { DiskReserve } from '../shared/files/disk-reserve.ts';
import { QueueClients } from '../shared/jobs/queues.ts';
import { observe } from '../shared/metrics/tally.ts';
import type { Logger } from '../shared/process/log.ts';
import { repeat } from '../shared/process/repeat.ts';
import { liveAddress, readGuidedAddress } from '../shared/redis/address.ts';
import { producerConnection, readerConnection } from '../shared/redis/connections.ts';
import { repairFacets } from '../shared/renders/facet-repair.ts';
import { RenderStore } from '../shared/renders/store.ts';
import { RenderWork } from '../shared/renders/work.ts';
import { Collector } from '../shared/retention/collector.ts';
import { Access } from './access/access.ts';
import type { KeyChanges } from './access/key-ring.ts';
import { Sessions } from './access/sessions.ts';
import { AvatarPictureService } from './avatar-pictures.ts';
import { EventHub } from './events/event-hub.ts';
import { EventLog } from './events/event-log.ts';
import { EventStreams } from './events/event-streams.ts';
import { GpuService } from './gpus.ts';
import { HostService } from './hosts.ts';
import { LiveService, type LiveServiceTools } from './live/live.ts';
import { AccessLog } from './logs/access-log.ts';
import { AuditLog } from './logs/audit-log.ts';
import { openLines } from './logs/lines.ts';
import { MemoryBudget } from './memory-budget.ts';
import { Metrics } from './metrics/metrics.ts';
import { ModelNetworks } from './model-networks.ts';
import { Models } from './models.ts';
import { Readiness } from './readiness.ts';
import { RenderService } from './renders/renders.ts';
import { Replicas } from './renders/replicas.ts';
import { ReplicatedRenderStore } from './renders/replicated-store.ts';
import { RenderRetry } from './renders/retry.ts';
import { RenderSubmission } from './renders/submission.ts';
import { Uploads } from './renders/uploads.ts';
import { VideoPreviews } from './renders/video-previews.ts';
import { RendersWithoutWorker, type WithoutWorkerTools } from './renders/without-worker.ts';
import { Webhooks } from './webhooks.ts';

/** Where processes of an earlier version run beside this one, their renders are found by filters after so long. */
const REPAIR_EVERY_MS = 10_000;

/** A client waits meanwhile: soon it is told, and may ask again. */
const STORE_PATIENCE_MS = 1500;

/** What the routes and the gRPC services work with. */
export interface Services {
  readonly config: Config;
  /** Who may come in, and do what. */
  readonly access: Access;
  /** Browsers that have signed in. */
  readonly sessions: Sessions;
  /** What requests may take of the memory of this process. */
  readonly memory: MemoryBudget;
  readonly redis: Redis;
  readonly queues: QueueClients;
  readonly models: Models;
  readonly avatarPictures: AvatarPictureService;
  readonly submission: RenderSubmission;
  readonly uploads: Uploads;
  readonly renders: RenderService;
  readonly videos: VideoPreviews;
  readonly retry: RenderRetry;
  readonly events: EventStreams;
  readonly webhooks: Webhooks;
  readonly live: LiveService;
  readonly gpus: GpuService;
  readonly hosts: HostService;
  /** Looks while a process has started it. */
  readonly withoutWorker: RendersWithoutWorker;
  readonly collector: Collector;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly accessLog: AccessLog;
  readonly auditLog: AuditLog;
  /** Opens the files of both logs anew, which another program has moved away. */
  reopenLogs(): void;
}

export interface ServiceTools {
  readonly config: Config;
  /** A connection that is ready: a queue that is opened while Redis is away never recovers. Stays the caller's. */
  readonly redis: Redis;
  readonly log: Logger;
  /** Brings new models and keys; without it the configuration stays as it is. */
  readonly reload?: Pick<ConfigReload, 'refresh' | 'onReload'>;
}

/** Everything that a front end does, without a transport. */
export function openServices({ config, redis, log, reload }: ServiceTools): Services & { close(): Promise<void> } {
  const logs = openLogs(config, log);
  const { auditLog: audit } = logs;
  const access = new Access({ config, log });
  reload?.onReload(() => noteKeys(audit, access.reload()));
  const sessions = new Sessions(redis, access);
  const memory = new MemoryBudget(config.limits.memory_budget_mb);
  const queues = new QueueClients(redis);
  const { store, closeStore } = openStore(config, redis, log);
  const artifacts = openArtifacts(storeSettings(config), { patienceMs: STORE_PATIENCE_MS });
  const disk = new DiskReserve(config.storageRoot, config.limits.disk_reserve_gb);
  const work = new RenderWork(redis);
  const { networks, models, workers } = openModels(config, redis, { reload, audit, log });
  const webhooks = new Webhooks(config, redis);
  const submission = new RenderSubmission({
    ...{ config, store, work, disk, artifacts, queues, models, webhooks, log, audit },
  });
  const { hub, events, closeEvents } = openEvents(config, redis, store);
  const renders = new RenderService({ store, artifacts, audit, hub, redirects: config.storage.redirect });
  const retry = new RenderRetry({ config, store, artifacts, queues, renders, audit });
  const { live, closeLive } = openLive({ config, redis, queues, models, log, audit });
  const gpus = new GpuService(config, redis, queues, audit);
  const collector = new Collector({ config, redis, queues, store, artifacts, log });
  const readiness = new Readiness({ redis, workers, artifacts, disk, stuckMs: stuckMsOf(config) });
  const { withoutWorker, stopLooking } = lookAfterRenders({ config, redis, workers, store }, log);
  return {
    ...{ config, access, sessions, memory, redis, queues, models, submission, renders, retry, live, gpus },
    ...{ withoutWorker, events, webhooks, collector, readiness, ...logs },
    metrics: new Metrics({ config, redis, store }),
    hosts: new HostService(redis, queues, audit),
    avatarPictures: new AvatarPictureService(artifacts, models),
    uploads: new Uploads({ config, redis, artifacts, submission }),
    videos: new VideoPreviews(config.limits.max_video_previews),
    async close() {
      await Promise.all([stopLooking(), gpus.history.stop(), networks.stop()]);
      closeEvents();
      await closeLive().then(closeStore);
      logs.closeLogs();
      await queues.close();
    },
  };
}

/** The records; where Redis fails over, with a connection on which replicas are waited for. */
function openStore({ redis: place }: Config, redis: Redis, log: Logger) {
  if (!readGuidedAddress(place.url)) return { store: new RenderStore(redis), closeStore: () => {} };
  const waiting = producerConnection(place);
  const store = new ReplicatedRenderStore(redis, new Replicas(waiting, log));
  return { store, closeStore: () => waiting.disconnect() };
}

/** Live requests, with a connection of their own where they have a Redis of their own. */
function openLive(tools: Omit<LiveServiceTools, 'liveRedis' | 'onAnswered' | 'openReader'> & { readonly log: Logger }) {
  const { redis, log } = tools;
  const place = tools.config.redis;
  const liveRedis = place.live_url ? producerConnection(liveAddress(place)) : redis;
  const live = new LiveService({
    ...{ ...tools, liveRedis, openReader: () => readerConnection(liveRedis) },
    onAnswered: (times) => {
      observe('farm_live_seconds', {}, times.wholeMs / 1000);
      observe('farm_live_wait_seconds', {}, times.queueMs / 1000);
      log.debug(times, 'live request answered');
    },
  });
  const closeLive = async () => {
    await live.close();
    if (liveRedis !== redis) liveRedis.disconnect();
  };
  return { live, closeLive };
}

function openModels(
  config: Config,
  redis: Redis,
  { log, ...tools }: Pick<ServiceTools, 'log'> & { reload: ServiceTools['reload']; audit: AuditLog },
) {
  const networks = new ModelNetworks(config, log);
  const models = new Models(config, redis, { ...tools, files: networks.files });
  return { networks, models, workers: models.workers };
}

function stuckMsOf({ limits }: Config): number {
  return limits.stuck_seconds * 1000;
}

/** Looks for renders that no filter finds, now and then, and for those without a worker once that is started. */
function lookAfterRenders(tools: WithoutWorkerTools, log: Logger) {
  const repairing = repeat(() => repairFacets(tools.redis), {
    ...{ name: 'look for renders that no filter finds', everyMs: REPAIR_EVERY_MS, log },
    ...({ first: 'now', keepsProcessAlive: false } as const),
  });
  const withoutWorker = new RendersWithoutWorker(tools);
  const stopLooking = async () => {
    await Promise.all([repairing.stop(), withoutWorker.stop()]);
  };
  return { withoutWorker, stopLooking };
}

function openEvents({ limits }: Config, redis: Redis, store: RenderStore) {
  const log = new EventLog(redis);
  const hub = new EventHub(log, () => readerConnection(redis));
  const events = new EventStreams({ store, log, hub }, limits.max_event_streams);
  const closeEvents = () => {
    events.close();
    hub.close();
  };
  return { hub, events, closeEvents };
}

/** The access and the audit log, as configured. FarmError('config_invalid') for a file that cannot be written to. */
function openLogs({ logging, sourcePath }: Config, log: Logger) {
  const folder = sourcePath ? path.dirname(sourcePath) : process.cwd();
  const access = openLines('logging.access_log', logging.access_log, folder, log);
  const audit = openLines('logging.audit_log', logging.audit_log, folder, log);
  return {
    accessLog: new AccessLog(access, logging.sample_rate),
    auditLog: new AuditLog(audit),
    reopenLogs() {
      access?.reopen();
      audit?.reopen();
    },
    closeLogs() {
      access?.close();
      audit?.close();
    },
  };
}

/** Whoever may write the configuration has changed the keys. */
function noteKeys(audit: AuditLog, { added, changed, removed }: KeyChanges): void {
  if (added.length > 0) audit.note('keys.add', { keys: added });
  if (changed.length > 0) audit.note('keys.change', { keys: changed });
  if (removed.length > 0) audit.note('keys.remove', { keys: removed });
}
