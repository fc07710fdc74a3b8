import { audioFloats, type Hearing, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { CHUNK_PLANS, ROW_SAMPLES } from '../../shared/sound/hubert-chunks.ts';
import { FBANK_BANDS, FBANK_FRAMES_PER_ROW } from '../../shared/sound/wenet-rows.ts';
import { Compositor } from '../compositor/compositor.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import { WINDOW_FLOATS } from '../pipeline/contract.ts';
import type { RenderFramesRequest } from '../pipeline/frame-request.ts';
import { renderMouths } from '../pipeline/render-frames.ts';
import { noTimings } from '../pipeline/stage-timings.ts';

/** Frames that are measured: as many as share a run when some streams are under way, and at least two. */
const MOST_FRAMES = 4;
const FEWEST_FRAMES = 2;
const NEVER = new AbortController().signal;

/**
 * Measures what a frame costs a GPU that is busy with live streams: a window through the encoder, the network (several
 * frames a run where it takes them), and the JPEG. Only the mel is left out: it costs a hundredth of the rest. Of two
 * passes the second counts: by then the pictures are prepared and the code is warm, as in a stream that has run for a
 * while. Nothing else may run meanwhile.
 * @returns milliseconds.
 */
export async function measureFrameMs(model: LoadedModel): Promise<number> {
  // A network alone makes mouths, which cost a run of it.
  if (model.prepared.frameCount === 0) return model.msPerFrame;
  const compositor = new Compositor();
  await passMs(model, compositor);
  return await passMs(model, compositor);
}

async function passMs({ encoder, network, provider, prepared }: LoadedModel, compositor: Compositor): Promise<number> {
  const encodingAt = performance.now();
  const part = partsOfFrame(network.hearing ?? USUAL_HEARING);
  await encoder.encode(new Float32Array(part.floats), 1);
  const encodeMs = (performance.now() - encodingAt) / part.frames;
  const frameCount = Math.max(FEWEST_FRAMES, Math.min(MOST_FRAMES, network.framesPerRun));
  const request: RenderFramesRequest = {
    frames: { start: 0, end: frameCount },
    startFrameIndex: 0,
    totalFrames: frameCount,
    batchFrames: Math.min(frameCount, network.framesPerRun),
    encoderBatchWindows: 1,
    grid: 'request',
  };
  const audio = { sampleCount: 0, read: async () => new Float32Array(0) };
  const given = { audioInput: new Float32Array(audioFloats(network.hearing ?? USUAL_HEARING)) };
  let finishMs = 0;
  const startedAt = performance.now();
  const parts = { audio, encoder, network, pictures: prepared, given };
  for await (const { picture, mouth, memory } of renderMouths(request, parts, NEVER, noTimings())) {
    const finishingAt = performance.now();
    compositor.jpeg(picture, mouth);
    memory.release();
    finishMs += performance.now() - finishingAt;
  }
  const mouthMs = encodeMs + (performance.now() - startedAt - finishMs) / frameCount;
  const jpegMs = finishMs / frameCount;
  // Frames are put together beside the network: on a GPU the slower of the two counts, on the CPU they share the cores.
  return provider.provider === 'cpu' ? mouthMs + jpegMs : Math.max(mouthMs, jpegMs);
}

/** Floats that the encoder is given at once, and the frames that hear something new by that. */
function partsOfFrame({ kind }: Hearing): { readonly floats: number; readonly frames: number } {
  if (kind === 'ave') return { floats: WINDOW_FLOATS, frames: 1 };
  if (kind === 'wenet') return { floats: FBANK_FRAMES_PER_ROW * FBANK_BANDS, frames: 1 };
  const { rows, rowsBefore, rowsAfter } = CHUNK_PLANS.short;
  return { floats: (rowsBefore + rows + rowsAfter) * ROW_SAMPLES, frames: rows };
}
