import type { AudioSource, MelPiece } from './contract.ts';
import { checkSound } from './frame-request.ts';
import { readMel } from './pipeline.ts';
import { melFrameCount, paddedSampleCount } from './sound-ranges.ts';

/** 5 s of sound, 320 KB of samples. */
const MEL_FRAMES_PER_CHUNK = 400;

/**
 * The mel of a whole sound as the encoder gets to see it (at least 16 frames), piece by piece.
 * @throws FarmError `audio_empty`; `signal.reason` once the signal is aborted.
 */
export async function* melOfSound(audio: AudioSource, signal?: AbortSignal): AsyncGenerator<MelPiece> {
  checkSound(audio);
  const melFrameTotal = melFrameCount(paddedSampleCount(audio.sampleCount));
  for (let start = 0; start < melFrameTotal; start += MEL_FRAMES_PER_CHUNK) {
    signal?.throwIfAborted();
    yield await readMel(audio, { start, end: Math.min(start + MEL_FRAMES_PER_CHUNK, melFrameTotal) });
  }
}
