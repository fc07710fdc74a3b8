/** Which pictures of an avatar its report shows, and their files made small. */

import sharp from 'sharp';
import type { Finding } from '../avatar/finding.ts';
import { readPictureFile } from '../avatar/picture-file.ts';
import type { Rect } from '../pipeline/contract.ts';
import type { ShownPicture } from './contract.ts';

const SHOWN = 6;
/** Of these the pictures of findings, at most; the others are spread over all. */
const SHOWN_OF_FINDINGS = 3;
/** Pixels. */
const LONGEST_SIDE = 640;
const QUALITY = 72;

interface Choice {
  readonly place: number;
  readonly why: string;
}

/**
 * @param numbers of all pictures, ascending.
 * @returns six places in them or as many as there are, ascending: the first of some findings each, and others spread
 * over all.
 */
export function choosePictures(numbers: readonly number[], findings: readonly Finding[]): Choice[] {
  const chosen = new Map<number, string>();
  for (const { code, pictures } of findings) {
    const place = numbers.indexOf(pictures[0] ?? -1);
    const isOfAll = pictures.length === numbers.length;
    if (place < 0 || isOfAll || chosen.has(place) || chosen.size >= SHOWN_OF_FINDINGS) continue;
    chosen.set(place, code.replaceAll('_', ' '));
  }
  const count = Math.min(SHOWN, numbers.length);
  const last = numbers.length - 1;
  for (const parts of [count - chosen.size, count, 2 * count, numbers.length]) {
    for (let part = 0; part < parts && chosen.size < count; part++) {
      const place = parts === 1 ? 0 : Math.round((part * last) / (parts - 1));
      if (!chosen.has(place)) chosen.set(place, placeName(place, last));
    }
  }
  return [...chosen].map(([place, why]) => ({ place, why })).sort((a, b) => a.place - b.place);
}

/** @param paths, rects, numbers of all pictures, in one order. */
export async function showPictures(
  { paths, rects, numbers }: { paths: readonly string[]; rects: readonly Rect[]; numbers: readonly number[] },
  findings: readonly Finding[],
): Promise<ShownPicture[]> {
  const choices = choosePictures(numbers, findings);
  return await Promise.all(
    choices.map(async ({ place, why }) => {
      const jpeg = await smallPicture(await readPictureFile(paths[place] as string));
      return { number: numbers[place] as number, why, rect: rects[place] as Rect, jpeg };
    }),
  );
}

/** A picture file as a JPEG of the page's size, upright. */
export async function smallPicture(file: Buffer): Promise<Buffer> {
  const fitting = { fit: 'inside', withoutEnlargement: true } as const;
  const upright = sharp(file).autoOrient().resize(LONGEST_SIDE, LONGEST_SIDE, fitting);
  return await upright.flatten({ background: '#808080' }).toColourspace('srgb').jpeg({ quality: QUALITY }).toBuffer();
}

function placeName(place: number, last: number): string {
  if (place === 0) return 'the first';
  return place === last ? 'the last' : '';
}
