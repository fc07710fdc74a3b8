/** A rect for every picture: those that are missing are made of their neighbours', or refused. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Rect } from '../pipeline/contract.ts';
import type { Finding } from './finding.ts';
import type { GivenRects } from './given-rects.ts';
import { numbered, numberRanges } from './number-ranges.ts';
import type { PictureSize } from './picture-file.ts';

/** Of all pictures that many must have a rect of their own, or the folder is not the one of these pictures. */
const LEAST_SHARE = 0.5;
/** Files that a message quotes. */
const QUOTED = 3;
const FILLED = 'filled from their neighbours';

export interface FilledRects {
  /** One for each picture, all inside it. */
  readonly rects: readonly Rect[];
  /** What was filled or left out. */
  readonly findings: readonly Finding[];
}

export interface RectHoles {
  /** Refuses whatever would be filled or left out. */
  readonly strict: boolean;
  /** Where the pictures are, for messages. */
  readonly pictures: string;
  /** Of the pictures, where it is known. */
  readonly size?: PictureSize | undefined;
}

/**
 * The rects of pictures in their order. Between two that are there a missing one lies on the straight line from the one
 * to the other; before the first and after the last it is theirs.
 * @param numbers of the pictures, ascending, one or more.
 * @throws FarmError `model_unusable`: with `strict` anything that is missing or left over, by number; without it, when
 * more than half of the pictures have no rect of their own.
 */
export function fillRects(
  numbers: readonly number[],
  given: GivenRects,
  { strict, pictures, size }: RectHoles,
): FilledRects {
  const outside = size === undefined ? [] : numbers.filter((number) => isOutside(given.byNumber.get(number), size));
  const leaving = new Set(outside);
  const known = new Map([...given.byNumber].filter(([number]) => !leaving.has(number)));
  const unreadable = numbers.filter((number) => given.faults.has(number));
  const missing = numbers.filter((number) => !given.byNumber.has(number) && !given.faults.has(number));
  const findings = [
    ...missingFinding(missing),
    ...unreadableFinding(unreadable, given),
    ...outsideFinding(outside, given, size),
    ...leftFinding(numbers, given),
  ];
  const own = numbers.length - missing.length - unreadable.length - outside.length;
  const tooFew = own < LEAST_SHARE * numbers.length || own === 0;
  if (tooFew || (strict && findings.length > 0)) {
    throw refusal(findings, `${numbers.length} pictures in ${pictures}, ${own} of them with a rect of ${given.source}`);
  }
  return { rects: between(numbers, known), findings };
}

/** @throws FarmError `model_unusable` when there are rects for pictures that a video does not have. */
export function requireAllPictures(count: number, video: string, { source, byNumber }: GivenRects): void {
  const left = [...byNumber.keys()].filter((number) => number >= count);
  if (left.length === 0) return;
  throw new FarmError(
    'model_unusable',
    `${count} pictures in ${video}, ${byNumber.size} rects of ${source}: no picture for landmarks ${numberRanges(left)}; ` +
      'the video was cut, or is another one',
  );
}

function refusal(findings: readonly Finding[], counts: string): FarmError {
  const faults = findings.map(({ text }) => text.replace(`: ${FILLED}`, '').replace(': left out', ''));
  return new FarmError('model_unusable', `${counts}: ${faults.join('; ')}; expected one a picture, of the same number`);
}

function missingFinding(pictures: readonly number[]): Finding[] {
  if (pictures.length === 0) return [];
  const have = pictures.length === 1 ? 'has' : 'have';
  return [
    { code: 'landmarks_missing', text: `${numbered('picture', pictures)} ${have} no landmarks: ${FILLED}`, pictures },
  ];
}

function unreadableFinding(pictures: readonly number[], { faults }: GivenRects): Finding[] {
  if (pictures.length === 0) return [];
  const quoted = pictures.slice(0, QUOTED).map((number) => faults.get(number));
  const more = pictures.length > QUOTED ? ` and ${pictures.length - QUOTED} more` : '';
  const text = `${quoted.join('; ')}${more}: ${FILLED}`;
  return [{ code: 'landmarks_unreadable', text, pictures }];
}

function outsideFinding(pictures: readonly number[], { byNumber }: GivenRects, size?: PictureSize): Finding[] {
  const [first] = pictures;
  if (first === undefined || size === undefined) return [];
  const { x1, y1, x2, y2 } = byNumber.get(first) as Rect;
  const [rects, leave] = pictures.length === 1 ? ['rect', 'leaves'] : ['rects', 'leave'];
  const which = `the ${rects} of ${numbered('picture', pictures)}`;
  const text = `${which} ${leave} the ${size.width}×${size.height} picture ([${x1}, ${y1}, ${x2}, ${y2}]): ${FILLED}`;
  return [{ code: 'rects_outside', text, pictures }];
}

function leftFinding(numbers: readonly number[], { byNumber, faults, passedOver, source }: GivenRects): Finding[] {
  const known = new Set(numbers);
  const left = [...byNumber.keys(), ...faults.keys()].filter((number) => !known.has(number));
  const names = passedOver.slice(0, QUOTED).join(', ') + (passedOver.length > QUOTED ? ', …' : '');
  return [
    ...(left.length === 0
      ? []
      : [
          {
            code: 'landmarks_left_over',
            text: `no picture for landmarks ${numberRanges(left)}: left out`,
            pictures: [],
          },
        ]),
    ...(passedOver.length === 0
      ? []
      : [
          {
            code: 'names_passed_over',
            text: `${source} has ${names}, without a number for a name: left out`,
            pictures: [],
          },
        ]),
  ];
}

function isOutside(rect: Rect | undefined, { width, height }: PictureSize): boolean {
  return rect !== undefined && (rect.x1 < 0 || rect.y1 < 0 || rect.x2 > width || rect.y2 > height);
}

function between(numbers: readonly number[], known: ReadonlyMap<number, Rect>): Rect[] {
  const anchors = numbers.filter((number) => known.has(number));
  let next = 0;
  return numbers.map((number) => {
    while (next < anchors.length - 1 && (anchors[next] as number) < number) next++;
    const after = anchors[next] as number;
    const before = anchors[Math.max(0, after < number ? next : next - 1)] as number;
    return onTheWay(number, before, after, known);
  });
}

/** A square from the middle of the way: its sides are whole pixels, so each corner is rounded with the first. */
function onTheWay(number: number, before: number, after: number, known: ReadonlyMap<number, Rect>): Rect {
  const [from, to] = [known.get(before) as Rect, known.get(after) as Rect];
  const part = after === before ? 0 : Math.min(1, Math.max(0, (number - before) / (after - before)));
  const mix = (a: number, b: number) => Math.round(a + (b - a) * part);
  const [x1, y1] = [mix(from.x1, to.x1), mix(from.y1, to.y1)];
  const [width, height] = [mix(from.x2 - from.x1, to.x2 - to.x1), mix(from.y2 - from.y1, to.y2 - to.y1)];
  return { x1, y1, x2: x1 + width, y2: y1 + height };
}
