import { z } from 'zod';

/** How good a finished render looks, in numbers: docs/quality.md says what each means and what to do about it. */

/** What is likely to be seen, by the number that says so. */
export const QUALITY_FINDINGS = [
  'mouth_still',
  'mouth_out_of_step',
  'mouth_unlike_voice',
  'seam_visible',
  'restless_in_silence',
] as const;
export type QualityFinding = (typeof QUALITY_FINDINGS)[number];

export const qualitySchema = z.object({
  mouth: z.object({
    /** How much the opening varies: its standard deviation, in grey levels of 255. */
    movement: z.number(),
    /** Highest correlation of opening and voice, -1 to 1; null where the sound or the mouth does not change. */
    correlation: z.number().nullable(),
    /** Frames by which the mouth is behind the voice where they correlate best; negative: ahead of it. */
    lag_frames: z.int().nullable(),
  }),
  /** Steps of brightness across the border of the crop rect, root mean square, in grey levels of 255. */
  seam: z.object({
    /** In the finished frames. */
    energy: z.number(),
    /** At the same places of the avatar's own pictures. */
    background: z.number(),
    /** What the frames have above that. */
    added: z.number(),
    /** The frame that has most above that, counted from the first of the video. */
    worst_frame: z.int(),
  }),
  silence: z.object({
    /** Frames that are far enough from any voice. */
    frames: z.int(),
    /** 1: the mouth does not move in them; 0: it moves as much as in speech. Null where there is too little of either. */
    stillness: z.number().nullable(),
  }),
  /** Of `QUALITY_FINDINGS`, and what later versions may add; none: nothing that the numbers can show. */
  findings: z.array(z.string()),
});
export type Quality = z.infer<typeof qualitySchema>;

/** Paths of the pictures that are made of a finished render; each is null where it could not be made. */
export const renderPicturesSchema = z.object({
  contact_sheet: z.string().nullable(),
  waveform: z.string().nullable(),
  waterfall: z.string().nullable(),
});
export type RenderPictures = z.infer<typeof renderPicturesSchema>;
