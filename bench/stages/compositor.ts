import { readdir } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { cutArea } from '../../worker/compositor/area-layout.ts';
import { Compositor } from '../../worker/compositor/compositor.ts';
import type { PictureSize, PreparedPicture } from '../../worker/compositor/contract.ts';
import { cutOut, cutRim } from '../../worker/compositor/crop.ts';
import { PlainCompositor } from '../../worker/compositor/plain-compositor.ts';
import { encodeJpeg } from '../../worker/media/jpeg.ts';
import { compositeFrame } from '../../worker/pipeline/composite.ts';
import { CROP_MARGIN, type Rect, type RgbImage } from '../../worker/pipeline/contract.ts';
import { writeMouth } from '../../worker/pipeline/mouth.ts';
import { mouthWeights } from '../../worker/pipeline/mouth-weights.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { type Row, ratioToLimit, row, type Stage } from '../harness/contract.ts';
import { inTurn, ratios } from '../harness/rounds.ts';

/**
 * One frame from the network's picture to JPEG bytes: the whole picture encoded by libjpeg, from the network's floats (as
 * all frames once were), and only the mouth's area encoded, from its bytes, by the kernel and by its plain twin.
 */

const QUALITY = 75;
const NETWORK = 320;
const PICTURES = 8;
/** The kernel is quick: in a round it does its frames so many times. */
const REPEATS = 4;

/** The limits that the kernel was made for: CPU milliseconds a frame, or as many times less than the whole picture. */
const SETTINGS = [
  { size: { width: 1280, height: 720 }, side: 182, mostMs: 0.5, leastRatio: 8 },
  { size: { width: 1920, height: 1080 }, side: 182, mostMs: 0.65, leastRatio: 12 },
  { size: { width: 1280, height: 720 }, side: 320 },
  { size: { width: 1920, height: 1080 }, side: 320 },
] as const;

interface Frame {
  readonly picture: RgbImage;
  readonly prepared: PreparedPicture;
  /** The same, with a weight for each pixel of the rect. */
  readonly feathered: PreparedPicture;
  readonly crop: RgbImage;
  readonly mouth: Uint8Array;
  /** The mouth as the network gives it without a graph around it: [3, S, S], BGR. */
  readonly planes: Float32Array;
}

export const stage: Stage = {
  about: 'a frame from the network to JPEG bytes: the whole picture, and the area of the mouth alone',
  limitS: 60,
  async measure() {
    sharp.concurrency(1);
    const { framesDir } = await buildDemoAvatar();
    const names = (await readdir(framesDir)).sort().slice(0, PICTURES);
    const rows: Row[] = [];
    for (const setting of SETTINGS) {
      const files = names.map((name) => path.join(framesDir, name));
      const frames = await Promise.all(files.map((file, index) => makeFrame(file, index, setting.size, setting.side)));
      rows.push(...(await measure(frames, setting)));
    }
    return rows;
  },
};

interface Limits {
  readonly size: PictureSize;
  readonly side: number;
  readonly mostMs?: number;
  readonly leastRatio?: number;
}

async function measure(frames: readonly Frame[], { size, side, mostMs, leastRatio }: Limits): Promise<Row[]> {
  const [kernel, plain] = [new Compositor(), new PlainCompositor()];
  const pixels = new Uint8Array(size.width * size.height * 3);
  const mouth = new Uint8Array(NETWORK * NETWORK * 3);
  const each = (work: (frame: Frame) => unknown) => async () => {
    for (const frame of frames) await work(frame);
  };
  const timed = await inTurn(
    {
      whole: each(({ planes, crop, picture, prepared: { rect } }) => {
        writeMouth(planes, 0, NETWORK, mouth);
        return encodeJpeg(compositeFrame(mouth, NETWORK, crop, picture, rect, pixels), QUALITY);
      }),
      twin: each(({ prepared, mouth }) => plain.jpeg(prepared, mouth)),
      kernel: each(({ prepared, mouth }) => {
        for (let repeat = 0; repeat < REPEATS; repeat++) kernel.jpeg(prepared, mouth);
      }),
      feathered: each(({ feathered, mouth }) => {
        for (let repeat = 0; repeat < REPEATS; repeat++) kernel.jpeg(feathered, mouth);
      }),
      background: each(({ picture, prepared: { rect } }) => kernel.encodeBackground(picture, rect, QUALITY)),
    },
    { rounds: 12, units: frames.length, withinMs: 8000 },
  );
  const name = `${size.width}x${size.height}, mouth ${side}x${side}`;
  const unit = 'ms CPU/frame';
  const whole = timed.whole.cpuMs;
  const area = timed.kernel.cpuMs.map((ms) => ms / REPEATS);
  const feathered = timed.feathered.cpuMs.map((ms) => ms / REPEATS);
  const least = leastRatio === undefined ? {} : { atLeast: leastRatio };
  const saved = row({ name: `${name}, whole : kernel`, unit: 'ratio', values: ratios(whole, area), ...least });
  // Either will do, and milliseconds differ from machine to machine.
  const isSaved = (ratioToLimit(saved) ?? Number.POSITIVE_INFINITY) <= 1;
  const most = mostMs === undefined || isSaved ? {} : { atMost: mostMs };
  return [
    row({ name: `${name}, whole`, unit, values: whole, cpuMs: whole }),
    row({ name: `${name}, plain twin`, unit, values: timed.twin.cpuMs, cpuMs: timed.twin.cpuMs }),
    row({ name: `${name}, kernel`, unit, values: area, cpuMs: area, ...most }),
    row({ name: `${name}, kernel, feathered`, unit, values: feathered, cpuMs: feathered }),
    saved,
    row({
      name: `${name}, preparing it`,
      unit: 'ms CPU',
      values: timed.background.cpuMs,
      cpuMs: timed.background.cpuMs,
    }),
  ];
}

async function makeFrame(file: string, index: number, size: PictureSize, side: number): Promise<Frame> {
  const data = await sharp(file).resize(size.width, size.height).removeAlpha().raw().toBuffer();
  const picture = { ...size, data: new Uint8Array(data) };
  const rect = rectOf(size, side, index);
  const crop = makeCrop(NETWORK);
  cutCrop(picture, rect, crop);
  const prepared = {
    ...{ ...size, quality: QUALITY, rect, rim: cutRim(crop), area: cutArea(picture, rect, false) },
    ...new Compositor().encodeBackground(picture, rect, QUALITY),
  };
  const inner = { x1: CROP_MARGIN, y1: CROP_MARGIN, x2: CROP_MARGIN + NETWORK, y2: CROP_MARGIN + NETWORK };
  const mouth = cutOut(crop, inner);
  const weights = mouthWeights(rect, NETWORK, 'feather', undefined);
  const feathered = { ...prepared, weights, area: cutArea(picture, rect, true) };
  return { picture, prepared, feathered, crop, mouth, planes: planesOf(mouth) };
}

/** About where a mouth is in these pictures; it lies differently on the borders of MCUs in each. */
function rectOf({ width, height }: PictureSize, side: number, index: number): Rect {
  const x1 = Math.round(width * 0.43 - side / 2) + ((index * 7) % 16);
  const y1 = Math.round(height * 0.66 - side / 2) + ((index * 5) % 16);
  return { x1, y1, x2: x1 + side, y2: y1 + side };
}

function planesOf(mouth: Uint8Array): Float32Array {
  const plane = NETWORK * NETWORK;
  const planes = new Float32Array(3 * plane);
  // A little more than k/255, so that truncation gives k again.
  for (const [i, value] of mouth.entries()) {
    planes[(2 - (i % 3)) * plane + Math.floor(i / 3)] = (value + 0.25) / 255;
  }
  return planes;
}
