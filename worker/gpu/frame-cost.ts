import { encodeJpeg } from '../media/jpeg.ts';
import { AUDIO_INPUT_FLOATS, WINDOW_FLOATS } from '../pipeline/contract.ts';
import { noTimings, type RenderFramesRequest, renderFrames } from '../pipeline/pipeline.ts';
import type { LoadedModel } from './loaded-model.ts';

const FRAMES = 2;
const JPEG_QUALITY = 75;
const NEVER = new AbortController().signal;

/**
 * Measures what a frame of a live stream costs: a window through the encoder, the network, the composite, the JPEG; of
 * the stages only the mel is left out, a hundredth of the rest. The second of two passes counts, in which backgrounds
 * are decoded and code is warm, as they are in a stream that has run for a while. Nothing else may run meanwhile.
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
  const request: RenderFramesRequest = {
    frames: { start: 0, end: FRAMES },
    startFrameIndex: 0,
    totalFrames: FRAMES,
    batchFrames: 1,
    encoderBatchWindows: 1,
    grid: 'request',
  };
  const audio = { sampleCount: 0, read: async () => new Float32Array(0) };
  const given = { heard: new Float32Array(AUDIO_INPUT_FLOATS) };
  for await (const { image } of renderFrames(request, { audio, encoder, network, avatar, given }, NEVER, noTimings())) {
    await encodeJpeg(image, JPEG_QUALITY);
  }
  return renderingAt - encodingAt + (performance.now() - renderingAt) / FRAMES;
}
