import type { SegmentJob } from '../../shared/jobs/jobs.ts';
import type { Logger } from '../../shared/process/log.ts';
import { logged } from '../../shared/process/unheard.ts';
import type { RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import type { ModelContentState } from '../../shared/workers/heartbeat.ts';
import type { KeptSegments, PlannedRender } from '../segments/kept-segments.ts';

/**
 * A segment among those that are kept: it is looked for before it is rendered, and kept afterwards. `prepare` has looked
 * for it already where it knew what the model is made of; since then another render may have made it.
 */
export class SegmentKeeping {
  readonly #kept: KeptSegments;
  readonly #render: PlannedRender | undefined;
  readonly #job: SegmentJob;
  readonly #log: Pick<Logger, 'warn'>;

  constructor(kept: KeptSegments, job: SegmentJob, record: RenderRecord, log: Pick<Logger, 'warn'>) {
    const { plan } = record;
    this.#kept = kept;
    this.#render = plan && kept.isFor(record) ? { ...record, plan } : undefined;
    this.#job = job;
    this.#log = log;
  }

  /** Puts the segment where the render has it. Never rejects: what cannot be had is rendered. */
  async find(model: ModelContentState | undefined): Promise<SegmentReceipt | undefined> {
    const render = this.#render;
    if (!render) return undefined;
    const look = async () => {
      const key = await this.#keyOf(render, model);
      return key === undefined ? undefined : await this.#kept.find(render, this.#place, key, this.#log);
    };
    return await look().catch(logged('a kept segment could not be used; it is rendered'));
  }

  /**
   * Keeps the segment. Never rejects: it is of its own render in any case.
   * @param content that it was made with; undefined: it must not be kept.
   */
  async keep(
    receipt: SegmentReceipt,
    model: ModelContentState | undefined,
    content: string | undefined,
  ): Promise<void> {
    const render = this.#render;
    if (!render || !model || content === undefined) return;
    const keep = async () => {
      const key = await this.#keyOf(render, { ...model, networks: content, whole: content });
      if (key !== undefined) await this.#kept.keep(render, this.#place, key, receipt);
    };
    await keep().catch(logged('a segment could not be kept for later renders'));
  }

  get #place() {
    return { index: this.#job.segmentIndex, frames: this.#job.frames };
  }

  async #keyOf(render: PlannedRender, model: ModelContentState | undefined): Promise<string | undefined> {
    if (!model) return undefined;
    await using keys = await this.#kept.keys(render);
    return await keys.of(this.#place, model);
  }
}
