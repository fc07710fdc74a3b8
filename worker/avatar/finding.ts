/** What an import or a check found that is no reason to refuse an avatar, and that its owner should look at. */
export const FINDING_CODES = [
  'landmarks_missing',
  'landmarks_unreadable',
  'rects_outside',
  'landmarks_left_over',
  'names_passed_over',
  'rects_jump',
  'rects_uneven',
  'rects_tiny',
  'rects_huge',
  'rects_enlarged',
  'background_unseen',
] as const;

export interface Finding {
  /** One of these, or a finding of a render's quality. */
  readonly code: string;
  /** A sentence without its full stop: what was found, and what was done or can be. */
  readonly text: string;
  /** Numbers of the pictures that it is about; empty: all of them, or none. */
  readonly pictures: readonly number[];
}
