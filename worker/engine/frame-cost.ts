import { encodeJpeg } from '../media/jpeg.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import { AUDIO_INPUT_FLOATS, WINDOW_FLOATS } from '../pipeline/contract.ts';
import type { RenderFramesRequest } from '../pipeline/frame-request.ts';
import { renderFrames } from '../pipeline/render-frames.ts';
import { noTimings } from '../pipeline/stage-timings.ts';

/** Frames that are measured: as many as share a run when some streams are under way, and at least two. */
const MOST_FRAMES = 4;
const FEWEST_FRAMES = 2;
const JPEG_QUALITY = 75;
const NEVER = new AbortController().signal;

/**
 * Measures what a frame costs a GPU that is busy with live streams: a window through the encoder, the network (several
 * frames a run where it takes them), the composite, and the JPEG, which is encoded while the next frames are computed.
 * Only the mel is left out: it costs a hundredth of the rest. Of two passes the second counts: by then the backgrounds
 * are decoded and the code is warm, as in a stream that has run for a while. Nothing else may run meanwhile.
 * @returns milliseconds.
 */
export async function measureFrameMs(model: LoadedModel): Promise<number> {
  await passMs(model);
  return await passMs(model);
}

async function passMs({ encoder, network, avatar }: LoadedModel): Promise<number> {
  const encodingAt = performance.now();
  await encoder.encode(new Float32Array(WINDOW_FLOATS), 1);
  const renderingAt = performance.now();
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
  const parts = { audio, encoder, network, avatar, given: { audioInput: new Float32Array(AUDIO_INPUT_FLOATS) } };
  const pictures: Promise<Buffer>[] = [];
  for await (const { image } of renderFrames(request, parts, NEVER, noTimings())) {
    pictures.push(encodeJpeg(image, JPEG_QUALITY));
  }
  await Promise.all(pictures);
  return renderingAt - encodingAt + (performance.now() - renderingAt) / frameCount;
}
