/**
 * Crop rects: where the mouth region lies in each background picture. Two forms of JSON are read:
 * `[[x1, y1, x2, y2], …]` and `{"0": {"rect": [x1, y1, x2, y2]}, "1": …}`.
 */

import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { readWholeFile } from '../../shared/files/regular-file.ts';
import { decodeText } from '../../shared/files/text-file.ts';
import type { Rect } from '../pipeline/contract.ts';

const EXPECTED_RECT = 'expected [x1, y1, x2, y2] in whole pixels with x1 < x2 and y1 < y2';
const EXPECTED_FORM = 'expected [[x1, y1, x2, y2], …] or {"0": {"rect": [x1, y1, x2, y2]}, "1": …}';
/** A wrong value is quoted up to this length, so that one bad file cannot fill the log. */
const QUOTED_CHARACTERS = 80;

const rectSchema = z
  .tuple([z.int(), z.int(), z.int(), z.int()])
  .refine(([x1, y1, x2, y2]) => x1 < x2 && y1 < y2)
  .transform(([x1, y1, x2, y2]): Rect => ({ x1, y1, x2, y2 }));
const entrySchema = z.object({ rect: z.unknown().optional() });
const fileSchema = z.union([z.array(z.unknown()).min(1), z.record(z.string().regex(/^\d+$/), entrySchema)]);

/**
 * Reads and parses a crop rects file.
 * @param path JSON file in either form, in UTF-8, or in UTF-16 with a byte order mark.
 * @returns one rect a frame, by frame index; not yet checked against the picture.
 * @throws FarmError `model_unusable`: unreadable, or anything parseCropRects refuses.
 */
export async function readCropRects(path: string): Promise<Rect[]> {
  let file: Uint8Array;
  try {
    file = await readWholeFile(path);
  } catch (cause) {
    throw new FarmError('model_unusable', `crop rects ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  return parseCropRects(decodeText(file, path, 'model_unusable').text, path);
}

/**
 * Parses crop rects from JSON text.
 * @param text JSON in either form; in the second one keys run from "0" without a gap.
 * @param path where the text came from, for messages.
 * @returns one rect a frame, by frame index, at least one.
 * @throws FarmError `model_unusable`: not JSON, another form, a number that is not whole, an empty or inverted rect.
 */
export function parseCropRects(text: string, path: string): Rect[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FarmError('model_unusable', `crop rects ${path} are not JSON: ${messageOf(cause)}`, { cause });
  }
  const file = fileSchema.safeParse(json);
  if (!file.success) {
    throw new FarmError('model_unusable', `crop rects ${path} have an unknown form, ${quote(json)}: ${EXPECTED_FORM}`);
  }
  const values = Array.isArray(file.data) ? file.data : orderByKey(file.data, path);
  return values.map((value, index) => {
    const rect = rectSchema.safeParse(value);
    if (rect.success) return rect.data;
    throw new FarmError('model_unusable', `crop rect ${index} in ${path} is ${quote(value)}: ${EXPECTED_RECT}`);
  });
}

/** What the rects of an avatar must fit. */
export interface RectBounds {
  /** Picture size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Background pictures; each needs a rect, further rects are ignored. */
  readonly frameCount: number;
}

/**
 * Checks that there is a rect for every frame and that each lies inside the picture.
 * @param path where the rects came from, for messages.
 * @throws FarmError `model_unusable` naming the first rect that is missing or outside.
 */
export function checkCropRects(rects: readonly Rect[], bounds: RectBounds, path: string): void {
  if (rects.length < bounds.frameCount) {
    throw new FarmError(
      'model_unusable',
      `${path} has ${rects.length} crop rects for ${bounds.frameCount} background frames: ` +
        `the rect of frame ${rects.length} is the first one missing`,
    );
  }
  for (const [index, { x1, y1, x2, y2 }] of rects.slice(0, bounds.frameCount).entries()) {
    if (x1 >= 0 && y1 >= 0 && x2 <= bounds.width && y2 <= bounds.height) continue;
    throw new FarmError(
      'model_unusable',
      `crop rect ${index} in ${path} is [${x1}, ${y1}, ${x2}, ${y2}], outside the ` +
        `${bounds.width}×${bounds.height} picture: expected 0 ≤ x ≤ ${bounds.width} and 0 ≤ y ≤ ${bounds.height}`,
    );
  }
}

/** The rects of the keyed form in frame order. */
function orderByKey(entries: Record<string, { rect?: unknown }>, path: string): unknown[] {
  const count = Object.keys(entries).length;
  if (count === 0) throw new FarmError('model_unusable', `crop rects ${path} are empty: ${EXPECTED_FORM}`);
  return Array.from({ length: count }, (_, index) => {
    const entry = entries[String(index)];
    if (entry !== undefined) return entry.rect;
    throw new FarmError(
      'model_unusable',
      `${path} has ${count} crop rects but none under the key "${index}": expected keys "0" to "${count - 1}"`,
    );
  });
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= QUOTED_CHARACTERS ? text : `${text.slice(0, QUOTED_CHARACTERS)}…`;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
