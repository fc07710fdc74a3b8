import type { Redis } from 'ioredis';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { DiskReserve } from '../../shared/files/disk-reserve.ts';
import { isTerminal, type RenderPlan, type RenderRecord } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { RenderWork } from '../../shared/renders/work.ts';
import type { KeptSegments } from '../segments/kept-segments.ts';
import type { Dispatcher } from './dispatch.ts';

/** What `prepare` jobs work with, whether they plan a render or take it up again. */
export interface PrepareTools {
  readonly work: RenderWork;
  readonly disk: DiskReserve;
  readonly config: Config;
  readonly renders: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly dispatcher: Dispatcher;
  readonly redis: Redis;
  readonly kept: KeptSegments;
  /** Extracts the pictures of a render's own footage and says how many there are; undefined for a render without any. */
  readonly readyFootage: (record: RenderRecord, signal: AbortSignal) => Promise<number | undefined>;
}

/** Undefined when the render has ended. */
export async function planInRecord(renders: RenderStore, renderId: string): Promise<RenderPlan | undefined> {
  const record = await renders.find(renderId);
  if (!record || isTerminal(record.status)) return undefined;
  if (record.plan) return record.plan;
  throw new FarmError('internal', `Render ${renderId} is ${record.status} and has no plan`);
}
