/** Where the crop rects lie from picture to picture: jumps and holes show as steps and straight lines. */

import type { Rect } from '../pipeline/contract.ts';
import { escaped, short, svgDocument } from '../quality/drawing.ts';
import type { ReportPictures } from './contract.ts';

const WIDTH = 1200;
const LEFT = 74;
const RIGHT = 20;
const TOP = 44;
const BAND = 74;
const GAP = 18;
/** Most points of a line; of more, each stretch is drawn from its least to its largest value. */
const MOST_POINTS = (WIDTH - LEFT - RIGHT) / 2;
const STYLE =
  'path{fill:none;stroke-width:1.5}.x{stroke:var(--blue)}.y{stroke:var(--pink)}.side{stroke:var(--green)}.filled{fill:var(--red);opacity:.25}';

const CURVES: readonly (readonly [name: string, label: string, of: (rect: Rect) => number])[] = [
  ['x', 'left edge', ({ x1 }) => x1],
  ['y', 'top edge', ({ y1 }) => y1],
  ['side', 'width', ({ x1, x2 }) => x2 - x1],
];

/** An SVG. @param filled numbers of pictures whose rects were made of their neighbours'. */
export function drawRectCurves({ rects, numbers }: ReportPictures, modelId: string, filled: readonly number[]): string {
  const height = TOP + CURVES.length * (BAND + GAP) + 24;
  const bottom = height - 34;
  const xOf = (place: number) => LEFT + ((WIDTH - LEFT - RIGHT) * place) / Math.max(1, rects.length - 1);
  const isFilled = new Set(filled);
  const marks = numbers.flatMap((number, place) =>
    isFilled.has(number)
      ? [`<rect class="filled" x="${short(xOf(place) - 1)}" y="${TOP - 8}" width="2.5" height="${bottom - TOP + 8}"/>`]
      : [],
  );
  const bands = CURVES.map(([name, label, of], band) => {
    const values = rects.map(of);
    const [least, most] = [Math.min(...extremes(values)), Math.max(...extremes(values))];
    const top = TOP + band * (BAND + GAP);
    const yOf = (value: number) => top + BAND - (BAND * (value - least)) / Math.max(8, most - least);
    return [
      `<text x="${LEFT}" y="${top - 3}">${label}: ${least === most ? least : `${least} to ${most}`} px</text>`,
      `<line class="line" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${top + BAND + 2}" y2="${top + BAND + 2}"/>`,
      `<path class="${name}" d="${line(values, xOf, yOf)}"/>`,
    ].join('\n');
  });
  const ends = [
    `<text class="soft" x="${LEFT}" y="${bottom + 22}">picture ${numbers[0]}</text>`,
    `<text class="soft end" x="${WIDTH - RIGHT}" y="${bottom + 22}">picture ${numbers.at(-1)}</text>`,
  ];
  const title = escaped(`Crop rects of ${modelId}, picture by picture`);
  const description = `Left edge, top edge and width of the crop rects of ${rects.length} pictures, in pixels.`;
  const body = [...marks, ...bands, ...ends].join('\n');
  return svgDocument({ width: WIDTH, height, title, description, style: STYLE, body });
}

function line(values: readonly number[], xOf: (place: number) => number, yOf: (value: number) => number): string {
  const stretch = Math.ceil(values.length / MOST_POINTS);
  const points: string[] = [];
  for (let at = 0; at < values.length; at += stretch) {
    const part = values.slice(at, at + stretch);
    for (const value of part.length === 1 ? part : extremes(part))
      points.push(`${short(xOf(at))} ${short(yOf(value))}`);
  }
  return `M${points.length === 1 ? [points[0], `${WIDTH - RIGHT} ${points[0]?.split(' ')[1]}`].join('L') : points.join('L')}`;
}

/** The least and the largest, without a stack as long as the list. */
function extremes(values: readonly number[]): [number, number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return [least, most];
}
