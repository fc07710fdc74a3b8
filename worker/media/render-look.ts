import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import type { Quality, RenderPictures } from '../../shared/views/quality-view.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import { assess } from '../quality/assess.ts';
import { contactSheet, type SheetFrame } from '../quality/contact-sheet.ts';
import { readMeasures } from '../quality/read-measures.ts';
import { sheetFrames } from '../quality/sheet-frames.ts';
import { voiceLevels } from '../quality/voice-levels.ts';
import { drawWaterfall } from '../quality/waterfall.ts';
import { drawWaveform } from '../quality/waveform.ts';
import { AudioFile } from './audio-file.ts';
import { takeTile } from './missing-tiles.ts';

/** What is told of a finished render besides its frames. */
export interface RenderLook {
  /** Null where some frames were not measured. */
  readonly quality: Quality | null;
  readonly pictures: RenderPictures;
}

type Making = Pick<JobContext, 'signal' | 'log'>;

/**
 * Looks at a render whose segments are all there: how good it is, and pictures of it. A render is complete without any
 * of them, so what fails is logged, and missing.
 */
export class RenderLooks {
  readonly #artifacts: ArtifactStore;

  constructor(artifacts: ArtifactStore) {
    this.#artifacts = artifacts;
  }

  /** All but the waterfall. @param segments in their order, one or more. */
  async look(record: RenderRecord, segments: readonly SegmentReceipt[], context: Making): Promise<RenderLook> {
    const { renderId } = record;
    const sheet = attempt('contact sheet', context, () => this.#drawSheet(record, segments, context));
    const measured = await attempt('waveform', context, () => this.#measure(record, segments, context));
    const link = (made: unknown, name: string) => (made ? `/v1/renders/${renderId}/${name}` : null);
    return {
      quality: measured ?? null,
      pictures: {
        contact_sheet: link(await sheet, 'contact-sheet'),
        waveform: link(measured, 'waveform'),
        waterfall: null,
      },
    };
  }

  /** Adds the waterfall; this is the render's last step but its receipt. */
  async withWaterfall(
    look: RenderLook,
    record: RenderRecord,
    segments: readonly SegmentReceipt[],
    context: Making,
  ): Promise<RenderLook> {
    const made = await attempt('waterfall', context, async () => {
      const svg = drawWaterfall({ record, segments, endedAtMs: Date.now() });
      await this.#publish(artifactKeys.waterfall(record.renderId), svg, context);
      return true;
    });
    const waterfall = made ? `/v1/renders/${record.renderId}/waterfall` : null;
    return { ...look, pictures: { ...look.pictures, waterfall } };
  }

  async #measure(
    { renderId, request }: RenderRecord,
    segments: readonly SegmentReceipt[],
    context: Making,
  ): Promise<Quality | undefined> {
    const artifacts = this.#artifacts;
    const { modelId, frameRate } = request;
    const frames = framesOf(segments);
    const measures = await readMeasures(artifacts, renderId, segments.length, frames.end - frames.start);
    if (!measures) return undefined;
    await using audio = await AudioFile.ofRender(artifacts, renderId);
    const levels = await voiceLevels(audio, frames, frameRate);
    const quality = assess(measures, levels);
    const { opening } = measures;
    const svg = drawWaveform({ renderId, modelId, levels, opening, quality, frameRate });
    await this.#publish(artifactKeys.waveform(renderId), svg, context);
    return quality;
  }

  async #drawSheet(
    { renderId, request }: RenderRecord,
    segments: readonly SegmentReceipt[],
    context: Making,
  ): Promise<boolean> {
    const artifacts = this.#artifacts;
    const keys = new Map<string, number>();
    const clip = framesOf(segments);
    for (const frameIndex of sheetFrames(clip)) {
      const key = isVideo(request.output)
        ? artifactKeys.tile(renderId, frameIndex)
        : artifactKeys.frame(renderId, frameIndex, request.output);
      if (isVideo(request.output) && segments.some(({ cached }) => cached) && !(await artifacts.size(key))) {
        await takeTile(artifacts, renderId, request.output, { segments, frameIndex }, context.signal);
      }
      if ((await artifacts.size(key)) !== undefined) keys.set(key, frameIndex - clip.start);
    }
    const [first] = segments;
    if (keys.size === 0 || !first) return false;
    await using files = await artifacts.checkOut([...keys.keys()], { signal: context.signal });
    const frames: SheetFrame[] = [...keys].map(([key, place]) => ({ place, path: files.path(key) }));
    const jpeg = await contactSheet(frames, { ...first, frameRate: request.frameRate });
    await this.#publish(artifactKeys.contactSheet(renderId), jpeg, context);
    return true;
  }

  /** Nothing is written for a render that has ended meanwhile: its files are being removed. */
  async #publish(key: string, content: string | Uint8Array, { signal }: Making): Promise<void> {
    signal.throwIfAborted();
    await this.#artifacts.put(key, content);
  }
}

/** Of all segments together. */
function framesOf(segments: readonly SegmentReceipt[]): IndexRange {
  return { start: segments[0]?.frames.start ?? 0, end: segments.at(-1)?.frames.end ?? 0 };
}

/** What `make` gives; undefined, and a line in the log, where it fails. */
async function attempt<T>(name: string, { log }: Making, make: () => Promise<T>): Promise<T | undefined> {
  try {
    return await make();
  } catch (error) {
    log.warn({ reason: error instanceof Error ? error.message : String(error) }, `the render has no ${name}`);
    return undefined;
  }
}
