import type { Quality } from '../../shared/views/quality-view.ts';
import type { Finding } from '../avatar/finding.ts';
import type { PictureSize } from '../avatar/picture-file.ts';
import type { Rect } from '../pipeline/contract.ts';

/** What the report of an avatar tells. */
export interface AvatarReport {
  readonly modelId: string;
  /** Whether it was just imported, or is one of the configuration that was checked. */
  readonly made: 'import' | 'check';
  readonly madeAt: Date;
  /** What was found, chosen or guessed, in its order: "network", and which one and why. */
  readonly facts: readonly Fact[];
  readonly findings: readonly Finding[];
  /** Undefined for a network without pictures. */
  readonly pictures: ReportPictures | undefined;
  /** Undefined when no preview was rendered. */
  readonly preview: ReportPreview | undefined;
}

export interface Fact {
  readonly subject: string;
  readonly text: string;
}

export interface ReportPictures {
  readonly size: PictureSize;
  /** One a picture, one or more, with the numbers of the pictures. */
  readonly rects: readonly Rect[];
  readonly numbers: readonly number[];
  /** Some of them, drawn with their rects. */
  readonly shown: readonly ShownPicture[];
}

export interface ShownPicture {
  readonly number: number;
  /** Why this one: "the first", or what is unusual in it. */
  readonly why: string;
  readonly rect: Rect;
  /** JPEG, of the picture made smaller. */
  readonly jpeg: Buffer;
}

export interface ReportPreview {
  readonly quality: Quality;
  readonly frames: number;
  /** An SVG. */
  readonly waveform: string;
  /** Some of its frames as JPEG, with their times. */
  readonly shots: readonly { readonly atSeconds: number; readonly jpeg: Buffer }[];
  /** Name of the video beside the page; undefined: it was not kept. */
  readonly video?: string | undefined;
}
