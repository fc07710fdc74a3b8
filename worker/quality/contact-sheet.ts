/** A picture of evenly spaced frames, with the time of each under it. */
import sharp from 'sharp';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { putOnSquares } from './checkered.ts';
import { drawText, TEXT_HEIGHT, textWidth } from './digits.ts';

// No picture is read twice, and one thread for each is enough.
sharp.cache(false);
sharp.concurrency(1);

/** A frame of the render as a JPEG or PNG file. */
export interface SheetFrame {
  /** Its place in the render's video, from 0. */
  readonly place: number;
  readonly path: string;
}

const COLUMNS = 4;
/** Sizes in pixels. */
const TILE_WIDTH = 320;
const GAP = 8;
const CAPTION = 26;
const BACKGROUND = 24;
const INK = 225;
const QUALITY = 78;
const CHANNELS = 3;

/**
 * Frames side by side, four in a row, as JPEG.
 * @param frames one or more.
 * @param video size of the frames, and how many there are a second; 25 when absent.
 */
export async function contactSheet(
  frames: readonly SheetFrame[],
  video: { readonly width: number; readonly height: number; readonly frameRate?: FrameRate | undefined },
): Promise<Buffer> {
  const tileHeight = Math.max(1, Math.round((TILE_WIDTH * video.height) / video.width));
  const columns = Math.min(COLUMNS, frames.length);
  const rows = Math.ceil(frames.length / columns);
  const width = columns * (TILE_WIDTH + GAP) + GAP;
  const height = rows * (tileHeight + CAPTION + GAP) + GAP;
  const data = new Uint8Array(width * height * CHANNELS).fill(BACKGROUND);
  const sheet = { width, height, data };
  const tiles = await Promise.all(frames.map(({ path }) => tileOf(path, tileHeight)));
  for (const [place, tile] of tiles.entries()) {
    const x = GAP + (place % columns) * (TILE_WIDTH + GAP);
    const y = GAP + Math.floor(place / columns) * (tileHeight + CAPTION + GAP);
    for (let row = 0; row < tileHeight; row++) {
      const line = tile.subarray(row * TILE_WIDTH * CHANNELS, (row + 1) * TILE_WIDTH * CHANNELS);
      data.set(line, ((y + row) * width + x) * CHANNELS);
    }
    const caption = timeOf((frames[place] as SheetFrame).place, video.frameRate);
    const left = x + Math.round((TILE_WIDTH - textWidth(caption)) / 2);
    drawText(sheet, caption, { x: left, y: y + tileHeight + Math.round((CAPTION - TEXT_HEIGHT) / 2) }, INK);
  }
  const raw = { width, height, channels: CHANNELS } as const;
  return await sharp(data, { raw }).jpeg({ quality: QUALITY, optimiseCoding: false }).toBuffer();
}

/** A frame's pixels, made smaller: libjpeg drops most of them while it decodes. Alpha shows squares. */
async function tileOf(path: string, height: number): Promise<Uint8Array> {
  const resized = sharp(path).resize(TILE_WIDTH, height, { fit: 'fill', kernel: 'cubic' }).toColourspace('srgb');
  const { channels } = await sharp(path).metadata();
  if (channels !== CHANNELS + 1) return await resized.removeAlpha().raw().toBuffer();
  const size = { width: TILE_WIDTH, height };
  const data = await resized.clone().removeAlpha().raw().toBuffer();
  putOnSquares({ ...size, data }, await resized.extractChannel('alpha').raw().toBuffer());
  return data;
}

/** 1:23.45 in the video. */
function timeOf(place: number, frameRate: FrameRate = USUAL_FRAME_RATE): string {
  const hundredths = Math.round((place * 100) / frameRate);
  const [minutes, seconds] = [Math.floor(hundredths / 6000), (hundredths % 6000) / 100];
  return `${minutes}:${seconds.toFixed(2).padStart(5, '0')}`;
}
