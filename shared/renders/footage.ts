import { z } from 'zod';
import type { BackgroundMode } from '../background-mode.ts';

/** A person's own video, which a render shows in place of the avatar's pictures: as requests and records have it. */

/**
 * What happens where the sound and the video differ in length. `cut`: the render ends with the shorter one. `loop`,
 * `bounce`, `hold`: it lasts as long as the sound, and the video begins again, runs to and fro, or stays at its last
 * picture. `silence`: it lasts as long as the video, and the sound is followed by silence.
 */
export const SYNC_MODES = ['cut', 'loop', 'bounce', 'hold', 'silence'] as const;
export type SyncMode = (typeof SYNC_MODES)[number];

/** How it is said where the mouth is in each frame of the video: crop rects in JSON, or landmarks as text. */
export const MARK_FORMS = ['rects', 'landmarks'] as const;
export type MarkForm = (typeof MARK_FORMS)[number];

export const footageSchema = z.object({
  fileName: z.string(),
  videoSha256: z.string(),
  marks: z.enum(MARK_FORMS),
  marksSha256: z.string(),
  syncMode: z.enum(SYNC_MODES),
});
export type Footage = z.infer<typeof footageSchema>;

/** How the pictures of the video are walked over. Where the render ends with them at the latest, the last one is held. */
export function walkOver(syncMode: SyncMode): BackgroundMode {
  if (syncMode === 'loop') return 'loop';
  return syncMode === 'bounce' ? 'ping-pong' : 'hold';
}

/** Whether the render ends with the video at the latest. */
export function endsWithVideo(syncMode: SyncMode): boolean {
  return syncMode === 'cut' || syncMode === 'silence';
}
