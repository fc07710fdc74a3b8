/** How many video frames a sound gets. */
import { SAMPLES_PER_FRAME } from './contract.ts';

/** ⌊N/640 + ½⌋ frames for N samples at 16 kHz, at least 1: picture and sound end within half a frame of each other. */
export function frameCount(sampleCount: number): number {
  return Math.max(1, Math.floor((sampleCount + SAMPLES_PER_FRAME / 2) / SAMPLES_PER_FRAME));
}
