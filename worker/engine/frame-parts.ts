import type { MouthFrame } from '../pipeline/contract.ts';
import { fillCrop, makeCrop } from '../pipeline/pipeline.ts';
import type { HeldFrame } from './frame-line.ts';

/** A frame as the compositor takes it. */
export function toHeldFrame({ frameIndex, mouth, size, memory, ...frame }: MouthFrame): HeldFrame {
  const { avatar, background, backgroundIndex: index, face } = frame;
  const crop = makeCrop(size);
  fillCrop(crop, avatar, index, background, face?.crop);
  return { frameIndex, mouth, size, memory, picture: { background, rect: avatar.rect(index), crop } };
}
