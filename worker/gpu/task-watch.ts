import type { Readable } from 'node:stream';
import type { ByteRange } from '../../shared/artifacts/store.ts';
import type { TraceSpan } from '../../shared/tracing/contract.ts';
import type { SilenceCounts } from '../pipeline/contract.ts';
import type { StageSpans } from '../pipeline/stage-timings.ts';
import { traceStages } from './stage-trace.ts';
import { countOutcome, countSilence, countStages, FrameCount, type WorkPlace } from './work-counts.ts';
import type { StageTimes, TaskLog, WorkLog } from './work-log.ts';

/** What is left behind of a segment or live request besides its frames: counts, spans, lines and debug files. */
export class TaskWatch {
  readonly #place: WorkPlace;
  readonly #span: TraceSpan | undefined;
  readonly #frames: FrameCount;
  readonly #kept: TaskLog | undefined;
  #made = 0;

  /** @param about what the task is, for the lines. */
  constructor(
    place: WorkPlace,
    { span, workLog }: { readonly span: TraceSpan | undefined; readonly workLog: WorkLog },
    about: Readonly<Record<string, unknown>>,
  ) {
    this.#place = place;
    this.#span = span;
    this.#frames = new FrameCount(place);
    this.#kept = workLog.begin(place, about);
  }

  /** Whether the task is to be told when each of its stages ran. */
  get traced(): boolean {
    return this.#span?.isKept ?? false;
  }

  /** See TaskLog. The bytes are read before this returns. */
  sound(samples: Uint8Array): void {
    this.#kept?.sound(samples);
  }

  /** See TaskLog. */
  soundOf(read: (bytes: ByteRange) => Readable, samples: { readonly start: number; readonly end: number }): void {
    this.#kept?.soundOf(read, samples);
  }

  /** @param made frames by now; one more than before when absent. @param form of the picture. */
  progressed(picture: Uint8Array, form: string, made = this.#made + 1): void {
    this.#made = made;
    this.#frames.upTo(made);
    this.#kept?.picture(picture, form);
  }

  /** @param frames of the task. @param silence what its silence gate has spared; absent: it has none. */
  done(frames: number, times: StageTimes, spans: StageSpans | undefined, silence?: SilenceCounts): void {
    if (silence) countSilence(this.#place, silence);
    this.#frames.upTo(frames);
    countStages(this.#place, frames, times);
    countOutcome(this.#place, false);
    traceStages(this.#span, spans, times);
    this.#kept?.done(frames, times);
  }

  /** @param aborted nobody wants it any more. */
  failed(aborted: boolean, thrown?: unknown): void {
    countOutcome(this.#place, aborted, thrown);
  }

  /** Frames by now. */
  get made(): number {
    return this.#made;
  }
}
