import type { Redis } from 'ioredis';
import type { ArtifactStore } from '../shared/artifacts.ts';
import type { Config } from '../shared/config/load.ts';
import type { QueueClients } from '../shared/queues.ts';
import type { RenderStore } from '../shared/renders/store.ts';
import type { GpuService } from './gpus.ts';
import type { LiveService } from './live/live.ts';
import type { Models } from './models.ts';
import type { RenderService } from './renders.ts';

/** What the routes and the gRPC services work with. */
export interface Services {
  readonly config: Config;
  readonly redis: Redis;
  readonly queues: QueueClients;
  readonly store: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly models: Models;
  readonly renders: RenderService;
  readonly live: LiveService;
  readonly gpus: GpuService;
}
