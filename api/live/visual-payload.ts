import { setImmediate as immediate } from 'node:timers/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { LivePayload } from '../../shared/live/live-payload.ts';
import {
  VISUAL_CHANNELS,
  VISUAL_FORMS,
  type VisualForm,
  visualFrameBytes,
  writeFloats,
  wrongVisualSize,
} from '../../shared/live/visual-frames.ts';
import { currentWorkers, type Heartbeat, takesVisualForm } from '../../shared/workers/heartbeat.ts';
import type { RecentWorkers } from '../recent-workers.ts';
import type { VisualInputs } from './visual-inputs.ts';
import { visualKernel } from './visual-kernel.ts';

/** Frames that are made into crops before the event loop is let through. */
const FRAMES_AT_ONCE = 4;

export type VisualPayload = Pick<LivePayload, 'visualFrames' | 'visualForm'>;

/**
 * The visual inputs of a request as they travel: in the lightest form that says the same and that every GPU worker
 * takes, since any of them may get the request in the end.
 * @param inputs handed over: none are left in them.
 * @param known the workers; asked anew before a size is refused, since another network may have been loaded.
 * @throws FarmError `request_invalid` for another S than the model's on all workers that have it loaded; where none has,
 * the worker finds out.
 */
export async function visualPayload(
  inputs: VisualInputs,
  { modelId, frameCount }: { readonly modelId: string; readonly frameCount: number },
  known: Pick<RecentWorkers, 'lately' | 'now'>,
): Promise<VisualPayload> {
  if (inputs.byteLength === 0) return { visualFrames: inputs.take(), visualForm: 'floats' };
  const { form, byteLength } = inputs;
  const fault = (on: readonly Heartbeat[]) => sizeFault(byteLength, frameCount, sizesOf(modelId, on));
  let workers = currentWorkers(await known.lately());
  if (fault(workers)) workers = currentWorkers(await known.now());
  const wrong = fault(workers);
  if (wrong) throw new FarmError('request_invalid', wrong);
  const values = inputs.take();
  if (form === 'planes' && takenByAll('crops', workers)) {
    const crops = await cropsOf(values, frameCount);
    if (crops) {
      // Given back at once: left to V8, 15 MB make it collect all of its heap.
      values.buffer.transfer(0);
      return { visualFrames: crops, visualForm: 'crops' };
    }
  }
  if (takenByAll(form, workers)) return { visualFrames: values, visualForm: form };
  return { visualFrames: unpacked(values, form), visualForm: 'floats' };
}

/** S of the model on each worker that has it loaded. */
function sizesOf(modelId: string, workers: readonly Heartbeat[]): number[] {
  const states = workers.flatMap(({ models }) => models.filter((model) => model.modelId === modelId));
  return states.flatMap(({ loaded }) => loaded?.networkSize ?? []);
}

/** What is wrong with so many bytes, when they are of none of these sizes. */
function sizeFault(gotBytes: number, frames: number, sizes: readonly number[]): string | undefined {
  const [first] = sizes;
  const isRight = (size: number) => gotBytes === frames * visualFrameBytes('floats', size);
  return first === undefined || sizes.some(isRight) ? undefined : wrongVisualSize(gotBytes, frames, first);
}

function takenByAll(form: VisualForm, workers: readonly Heartbeat[]): boolean {
  return form === 'floats' || (workers.length > 0 && workers.every((worker) => takesVisualForm(worker, form)));
}

/** [frames, S, S, 3], or undefined when the inputs do not all come from such pictures. */
async function cropsOf(planes: Buffer, frames: number): Promise<Buffer | undefined> {
  const size = Math.sqrt(planes.length / (frames * VISUAL_CHANNELS));
  if (!visualKernel.fits(size)) return undefined;
  const [planesBytes, cropBytes] = [visualFrameBytes('planes', size), visualFrameBytes('crops', size)];
  const crops = Buffer.allocUnsafeSlow(frames * cropBytes);
  for (let frame = 0; frame < frames; frame++) {
    const input = planes.subarray(frame * planesBytes, (frame + 1) * planesBytes);
    if (!visualKernel.toCrop(input, size, crops.subarray(frame * cropBytes))) return undefined;
    if (frame % FRAMES_AT_ONCE === FRAMES_AT_ONCE - 1) await immediate();
  }
  return crops;
}

/** For workers of earlier versions. */
function unpacked(values: Buffer, form: VisualForm): Buffer {
  const packed = VISUAL_FORMS[form];
  if (!packed) return values;
  const floats = new Float32Array(values.length);
  writeFloats(values, packed.floats, floats);
  return Buffer.from(floats.buffer);
}
