import type { RgbImage } from '../pipeline/contract.ts';

/** Encodes a picture as baseline JPEG. quality: 1–100. The same picture gives the same bytes. */
export async function encodeJpeg(image: RgbImage, quality: number): Promise<Buffer> {
  // Half of the compositor thread's start otherwise, and only frames of another quality than the prepared one need it.
  const { default: sharp } = await import('sharp');
  const { width, height, data } = image;
  // Optimised Huffman tables cost as much time as all the rest and save a few percent of the bytes.
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality, optimiseCoding: false })
    .toBuffer();
}
