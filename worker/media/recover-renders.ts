import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { Dispatcher } from './dispatch.ts';

const SWEEP_EVERY_MS = 10_000;
/** Longer than the API takes between writing a record and adding its job. */
const GRACE_MS = 10_000;

/**
 * Finds renders whose record was written but whose first job never reached the queue, because the front end died in
 * between, and adds the job.
 */
export function startRenderRecovery(renders: RenderStore, dispatcher: Dispatcher, log: RepeatLog): Repeated {
  const sweep = async () => {
    for (const renderId of await renders.activeIds()) {
      const record = await renders.find(renderId);
      if (record?.status !== 'queued' || Date.now() - record.createdAtMs < GRACE_MS) continue;
      await dispatcher.enqueuePrepare(record);
    }
  };
  return repeat(sweep, { name: 'look for renders without a job', everyMs: SWEEP_EVERY_MS, log });
}
