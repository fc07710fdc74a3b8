import type { RenderPlan, RenderRequest } from '../../shared/renders/record.ts';

/** A request and a plan for tests that look at records and not at files. */

export const SAMPLE_REQUEST: RenderRequest = {
  modelId: 'ann',
  output: 'mp4',
  startFrameIndex: 0,
  jpegQuality: 75,
  fileName: 'speech.wav',
  uploadBytes: 44,
  uploadSha256: 'abc',
};

/** Of six seconds of sound. */
export const SAMPLE_PLAN: RenderPlan = {
  sampleCount: 96_000,
  frameCount: 150,
  segmentFrames: 100,
  batchFrames: 4,
  encoderBatchWindows: 32,
  h264Crf: 20,
  h264Preset: 'veryfast',
  segmentGpus: [0, 1],
};
