import type { Redis } from 'ioredis';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { ConfigReload } from '../../shared/config/reload.ts';
import type { Logger } from '../../shared/process/log.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { OwnHost } from '../own-host.ts';
import type { CancelWatch } from './cancellation.ts';

/** What every worker process has, whatever its role. */
export interface WorkerTools {
  readonly connection: Redis;
  /** To the Redis that live requests go over; the same connection where there is one Redis. */
  readonly live: Redis;
  /** A connection for subscriptions only. */
  readonly subscriber: Redis;
  readonly renders: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly cancellation: CancelWatch;
  readonly configReload: ConfigReload;
  readonly log: Logger;
  /** This machine. */
  readonly host: OwnHost;
  /** Ends the process because it cannot go on; the supervisor starts another. */
  readonly fail: (reason: string) => void;
}
