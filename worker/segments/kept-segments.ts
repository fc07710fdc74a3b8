import { count } from '../../shared/metrics/tally.ts';
import type { Logger } from '../../shared/process/log.ts';
import { framesOf, type RenderPlan, type RenderRecord, type SegmentReceipt } from '../../shared/renders/record.ts';
import type { SegmentCache, SegmentFiles } from '../../shared/segments/segment-cache.ts';
import type { ModelContentState } from '../../shared/workers/heartbeat.ts';
import type { AudioSource } from '../pipeline/contract.ts';
import { type SegmentPlace, segmentFilesOf } from './segment-files.ts';
import { type Silence, segmentKey } from './segment-key.ts';
import { SoundHashes } from './sound-hashes.ts';

/** A render whose sound has been read. */
export type PlannedRender = RenderRecord & { readonly plan: RenderPlan };

export interface KeptSegmentsTools {
  readonly cache: SegmentCache;
  /** What `prepare` has made of a render's sound. */
  readonly openSound: (renderId: string) => Promise<AudioSource & AsyncDisposable>;
  readonly readSilence: (render: Pick<RenderRecord, 'renderId' | 'request'>) => Promise<Silence>;
}

const NO_TIME = { mel: 0, encoder: 0, background: 0, visual_input: 0, inference: 0, composite: 0, encode: 0 };

/** Segments of earlier renders for those of a render. A fault of what is kept is none of the render: it is rendered. */
export class KeptSegments {
  readonly #tools: KeptSegmentsTools;

  constructor(tools: KeptSegmentsTools) {
    this.#tools = tools;
  }

  /** Whether segments of this render are looked for and kept. */
  isFor({ request }: Pick<RenderRecord, 'request'>): boolean {
    return this.#tools.cache.isOn && request.cache !== false;
  }

  /** Opens a render's sound for the keys of its segments. */
  async keys(render: PlannedRender): Promise<SegmentKeys> {
    const sound = await this.#tools.openSound(render.renderId);
    const silence = render.plan.gate ? await this.#tools.readSilence(render) : undefined;
    return new SegmentKeys(render, sound, silence);
  }

  /** Puts a kept segment into the render. @returns its receipt; undefined when it has to be rendered. */
  async find(
    { renderId, request, plan }: PlannedRender,
    segment: SegmentPlace,
    key: string,
    log: Pick<Logger, 'warn'>,
  ): Promise<SegmentReceipt | undefined> {
    const [startedAt, started_at] = [performance.now(), new Date().toISOString()];
    const files = segmentFilesOf(renderId, request.output, segment, framesOf(plan));
    const found = await this.#tools.cache.restore(key, files);
    count('farm_segments_looked_up_total', { model: request.modelId, outcome: found.outcome });
    if (found.outcome === 'damaged')
      log.warn({ segment: segment.index, key }, 'a kept segment is damaged: rendered anew');
    if (found.outcome !== 'hit') return undefined;
    const took = { started_at, wall_ms: performance.now() - startedAt, timings_ms: NO_TIME };
    return { ...segment, ...found.facts, ...took, attempt: 1, cached: true };
  }

  /** Keeps a segment that was rendered for this render. */
  async keep(
    { renderId, request, plan }: PlannedRender,
    segment: SegmentPlace,
    key: string,
    { gpu, worker, provider, width, height, alpha, silence, model_files }: SegmentReceipt,
  ): Promise<void> {
    const files: SegmentFiles = segmentFilesOf(renderId, request.output, segment, framesOf(plan));
    const facts = { gpu, worker, provider, width, height, model_files };
    await this.#tools.cache.keep(key, files, { ...facts, ...(alpha && { alpha }), ...(silence && { silence }) });
  }
}

/** The keys of one render's segments. Dispose of it before the render's files go. */
export class SegmentKeys implements AsyncDisposable {
  readonly #render: PlannedRender;
  readonly #sound: AudioSource & AsyncDisposable;
  readonly #hashes: SoundHashes;
  readonly #silence: Silence | undefined;

  constructor(render: PlannedRender, sound: AudioSource & AsyncDisposable, silence: Silence | undefined) {
    this.#render = render;
    this.#sound = sound;
    this.#hashes = new SoundHashes(sound);
    this.#silence = silence;
  }

  /** @param model that the segment is or would be made with; undefined where nobody knows its content. */
  async of({ frames }: SegmentPlace, model: ModelContentState | undefined): Promise<string | undefined> {
    if (!model) return undefined;
    const { plan, ...record } = this.#render;
    return await segmentKey({ record, plan, frames, model, sound: this.#hashes, silence: this.#silence });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sound[Symbol.asyncDispose]();
  }
}
