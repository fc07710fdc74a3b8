/** The name under which a prepared picture is kept: a hash of all that its bytes depend on. */

import { createHash } from 'node:crypto';
import type { Blend, NetworkSize, Rect } from '../pipeline/contract.ts';
import { FORMAT_VERSION, WEIGHTED_VERSION } from './picture-record.ts';

const KEY_DIGITS = 32;

/** SHA-256 of the files that a picture is made from, in hex. */
export interface SourceHashes {
  readonly background: string;
  /** The avatar's own pictures of the face, and its mask, where it has them. */
  readonly crop?: string | undefined;
  readonly roi?: string | undefined;
  readonly mask?: string | undefined;
}

export const SOURCE_PARTS = ['background', 'crop', 'roi', 'mask'] as const satisfies (keyof SourceHashes)[];

/** How a picture is prepared. */
export interface Recipe {
  readonly rect: Rect;
  /** Side of the network's picture. */
  readonly side: NetworkSize;
  /** JPEG quality, 1–100. */
  readonly quality: number;
  readonly blend: Blend;
}

/**
 * 32 hex digits. The same whatever the files are called and wherever they lie.
 * @param behind id of the backdrop, if there is one.
 */
export function pictureKey({ background, crop, roi, mask }: SourceHashes, recipe: Recipe, behind?: string): string {
  const { rect, side, quality, blend } = recipe;
  const { x1, y1, x2, y2 } = rect;
  const base = [background, crop ?? null, roi ?? null, x1, y1, x2, y2, side, quality];
  const isPlain = mask === undefined && blend === 'none' && behind === undefined;
  const all = isPlain
    ? [FORMAT_VERSION, ...base]
    : [WEIGHTED_VERSION, ...base, mask ?? null, blend, ...(behind ? [behind] : [])];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, KEY_DIGITS);
}
