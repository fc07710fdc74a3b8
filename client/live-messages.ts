import { z } from 'zod';
import { errorReportSchema } from '../shared/renders/record.ts';

/** What the farm sends in a live session. docs/realtime.md describes the messages. */

export interface LiveFrame {
  readonly type: 'frame';
  readonly index: number;
  /** When to show it, on the clock of the sound. */
  readonly timeMs: number;
  /** Frames right before it that were left out. */
  readonly skipped: number;
  /** From when its sound was complete until it left the farm. */
  readonly latencyMs: number;
  readonly data: Uint8Array;
}

export const controlSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('opened'),
    algorithmic_latency_ms: z.number(),
    sample_rate: z.int(),
    frames_per_second: z.int(),
  }),
  z.object({ type: z.literal('interrupted'), frame_index: z.int() }),
  z.object({ type: z.literal('ended'), frame_count: z.int(), skipped_frames: z.int() }),
  z.object({ type: z.literal('error'), error: errorReportSchema }),
]);
type Control = z.infer<typeof controlSchema>;
/** In the order in which the farm sends them; `ended` is the last one. */
export type LiveMessage = LiveFrame | Exclude<Control, { type: 'error' }>;

const HEADER_BYTES = 16;

/** Reads a binary message. */
export function frameOf(message: ArrayBuffer): LiveFrame {
  const view = new DataView(message);
  return {
    type: 'frame',
    index: view.getUint32(0, true),
    timeMs: view.getUint32(4, true),
    skipped: view.getUint32(8, true),
    latencyMs: view.getFloat32(12, true),
    data: new Uint8Array(message, HEADER_BYTES),
  };
}
