import { limitsOfOwner } from '../../shared/api-keys.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { addPrepareJob, type QueueClients } from '../../shared/jobs/queues.ts';
import { logged } from '../../shared/process/unheard.ts';
import { untilKnown } from '../../shared/redis/outcome.ts';
import type { RenderRecord } from '../../shared/renders/record.ts';
import { newWriter, type RenderStore } from '../../shared/renders/store.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { Caller } from '../access/caller.ts';
import type { AuditLog } from '../logs/audit-log.ts';
import type { RenderService } from './renders.ts';
import { limitReached, queueFull } from './room.ts';

export interface RenderRetryTools {
  readonly config: Config;
  readonly store: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly queues: QueueClients;
  readonly renders: RenderService;
  readonly audit: AuditLog;
}

/** Takes failed renders up again where they were. */
export class RenderRetry {
  readonly #tools: RenderRetryTools;

  constructor(tools: RenderRetryTools) {
    this.#tools = tools;
  }

  /**
   * Queues a failed render again; one that is unfinished or completed stays as it is. Returns how it stands then.
   * FarmError: render_unknown, render_cancelled, render_not_resumable, queue_full, key_limit_reached (of the render's own
   * key, whoever asks), outcome_unknown.
   */
  async retry(renderId: string, caller: Caller): Promise<RenderView> {
    const { audit } = this.#tools;
    return await audit.noting('render.retry', { render: renderId }, () => this.#retry(renderId, caller));
  }

  async #retry(renderId: string, caller: Caller): Promise<RenderView> {
    const { store, renders } = this.#tools;
    const { status } = await renders.get(renderId, caller);
    if (status === 'cancelled') {
      throw new FarmError('render_cancelled', `Render ${renderId} was cancelled, and its files are gone`);
    }
    if (status !== 'failed') return await renders.get(renderId, caller);
    const record = await store.get(renderId);
    await this.#refuseWithoutFiles(record);
    if (await this.#queueAgain(record)) {
      const later = logged('could not add the job of a retried render; a media worker finds it and does');
      await this.#addJob(renderId).catch(later);
    }
    return await renders.get(renderId, caller);
  }

  /** False when it has another status by now. */
  async #queueAgain({ renderId, owner }: RenderRecord): Promise<boolean> {
    const { config, store } = this.#tools;
    const limits = {
      all: config.server.queue_size,
      own: limitsOfOwner(config.auth.keys, owner).unfinishedRenders,
    };
    const writer = newWriter();
    const answer = await untilKnown(`Render ${renderId} was to be queued again`, () =>
      store.retry(renderId, limits, writer),
    );
    if (answer.outcome === 'full') throw queueFull(answer.activeCount, limits.all);
    if (answer.outcome === 'owner full') throw limitReached(owner ?? '', answer.activeCount);
    return answer.outcome === 'queued';
  }

  async #addJob(renderId: string): Promise<void> {
    const { config, store, queues } = this.#tools;
    const record = await store.get(renderId);
    await addPrepareJob(queues, record, config.render.attempts);
  }

  async #refuseWithoutFiles({ renderId, plan }: RenderRecord): Promise<void> {
    const { artifacts } = this.#tools;
    const has = async (key: string) => (await artifacts.size(key)) !== undefined;
    if (await has(artifactKeys.upload(renderId))) return;
    // What else it needs depends on the segments that are done; the worker looks.
    if (plan && ((await has(artifactKeys.samples(renderId))) || (await has(artifactKeys.sound(renderId))))) return;
    throw new FarmError('render_not_resumable', `Sound and upload of render ${renderId} are not in the store`);
  }
}
