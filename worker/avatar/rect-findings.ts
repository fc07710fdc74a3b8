/** What is unusual in the crop rects of an avatar, as far as numbers show it. */

import type { Rect } from '../pipeline/contract.ts';
import type { Finding } from './finding.ts';
import { numbered, numberRanges } from './number-ranges.ts';
import type { PictureSize } from './picture-file.ts';

/** From one picture to the next a face moves by less than this share of its rect, unless it always moves like that. */
const JUMP_SHARE = 0.1;
const JUMP_TIMES = 5;
/** A side that is so many times as long or as short as it usually is, is no face that came nearer. */
const UNEVEN_TIMES = 1.5;
/** Pixels; a mouth in a smaller rect has hardly any. */
const TINY_BELOW = 64;
/** A rect holds a face from cheek to cheek; more of the picture's shorter side is a mistake. */
const HUGE_SHARE = 0.95;
/** A network's picture that is enlarged further looks soft. */
const ENLARGED_TIMES = 2;
/** Jumps that are told one by one. */
const JUMPS = 3;

/**
 * @param rects one a picture, one or more. `numbers` are those of the pictures.
 * @param networkSize S, where it is known.
 */
export function rectFindings(
  rects: readonly Rect[],
  numbers: readonly number[],
  size: PictureSize,
  networkSize?: number,
): Finding[] {
  const sides = rects.map(({ x1, x2 }) => x2 - x1);
  const usual = medianOf(sides);
  const chosen = (isChosen: (side: number) => boolean) => numbers.filter((_, at) => isChosen(sides[at] as number));
  return [
    ...jumps(rects, numbers, usual),
    ...about(
      'rects_uneven',
      chosen((side) => side > usual * UNEVEN_TIMES || side * UNEVEN_TIMES < usual),
      rects.length,
      `much larger or smaller than the others, which are ${usual} px wide: is it the same face there?`,
    ),
    ...about(
      'rects_tiny',
      chosen((side) => side < TINY_BELOW),
      rects.length,
      `less than ${TINY_BELOW} px wide: the face is small in the picture, and its mouth has few pixels`,
    ),
    ...about(
      'rects_huge',
      chosen((side) => side > HUGE_SHARE * Math.min(size.width, size.height)),
      rects.length,
      `as large as the ${size.width}×${size.height} picture: the landmarks are hardly those of a face in it`,
    ),
    ...(networkSize !== undefined && usual > networkSize * ENLARGED_TIMES
      ? about(
          'rects_enlarged',
          numbers,
          rects.length,
          `${usual} px wide: the network draws ${networkSize}, so the mouth is enlarged and looks soft`,
        )
      : []),
  ];
}

/** How far a rect is from the one before it, in pixels. */
function stepOf(before: Rect, after: Rect): number {
  return Math.max(Math.abs(after.x1 - before.x1), Math.abs(after.y1 - before.y1), Math.abs(after.x2 - before.x2));
}

function jumps(rects: readonly Rect[], numbers: readonly number[], usualSide: number): Finding[] {
  const steps = rects.slice(1).map((rect, at) => stepOf(rects[at] as Rect, rect));
  const least = Math.max(JUMP_SHARE * usualSide, JUMP_TIMES * medianOf(steps));
  const found = steps
    .map((step, at) => ({ step, number: numbers[at + 1] as number }))
    .filter(({ step }) => step > least);
  if (found.length === 0) return [];
  const largest = found.toSorted((a, b) => b.step - a.step).slice(0, JUMPS);
  const told = largest
    .toSorted((a, b) => a.number - b.number)
    .map(({ step, number }) => `by ${step} px at frame ${number}`);
  const more = found.length > JUMPS ? ` and at ${found.length - JUMPS} more` : '';
  const hint = 'a cut in the video, or a face that was not found there; the mouth jumps with them';
  const text = `the landmarks jump ${told.join(', ')}${more}: ${hint}`;
  return [{ code: 'rects_jump', text, pictures: found.map(({ number }) => number) }];
}

/** A finding about the rects of some pictures. @param total of all pictures. */
function about(code: string, pictures: readonly number[], total: number, what: string): Finding[] {
  if (pictures.length === 0) return [];
  const are =
    pictures.length === 1
      ? `the rect of ${numbered('picture', pictures)} is`
      : `rects of pictures ${numberRanges(pictures)} are`;
  const which = pictures.length === total ? 'all rects are' : are;
  return [{ code, text: `${which} ${what}`, pictures }];
}

/** The value that half of them do not exceed. */
function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;
}
