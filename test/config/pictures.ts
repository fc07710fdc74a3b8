import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import { QUARTER_TURN, showTurned } from '../avatar/videos.ts';
import { ffmpeg, lavfi } from '../media/media-files.ts';
import { tinyEncoder, tinyHubert, tinyNetwork } from '../onnx/tiny-onnx.ts';

/** Avatars that cost next to nothing, and of which the colours tell what they were made from. */

export const SIZE = { width: 32, height: 24 };
/** Side of what the networks see. */
const FACE = 160;
/** Of each picture. */
export const RECT = [4, 4, 20, 20] as const;
const PICTURES = 3;

export const COLOURS = {
  black: [0, 0, 0],
  grey: [128, 128, 128],
  red: [220, 20, 20],
  green: [20, 200, 20],
  blue: [20, 20, 220],
  yellow: [220, 220, 20],
} as const;
export type Colour = keyof typeof COLOURS;

/** The nearest of the colours at a place in a frame of raw pixels. */
export function colourAt(frame: Buffer, x: number, y: number): Colour {
  const at = (y * SIZE.width + x) * 3;
  const distance = (colour: Colour) =>
    COLOURS[colour].reduce<number>((sum, value, channel) => sum + (value - (frame[at + channel] ?? 0)) ** 2, 0);
  const names = Object.keys(COLOURS) as Colour[];
  return names.reduce((best, name) => (distance(name) < distance(best) ? name : best));
}

/** Writes pictures of these colours, one each, into a folder. */
export async function drawPictures(folder: string, colours: readonly Colour[], size = SIZE): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [index, colour] of colours.entries()) {
    const [r, g, b] = COLOURS[colour];
    const picture = sharp({ create: { ...size, channels: 3, background: { r, g, b } } });
    await picture.png().toFile(path.join(folder, `frame_${String(index).padStart(6, '0')}.png`));
  }
}

/** Pictures of one colour, one for each rect, of which nothing is seen from column `x` on. */
export async function drawClear(folder: string, colour: Colour, x: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { width, height } = SIZE;
  const pixels = Array.from({ length: width * height }, (_, at) => [...COLOURS[colour], at % width < x ? 255 : 0]);
  const picture = sharp(Buffer.from(pixels.flat()), { raw: { width, height, channels: 4 } });
  for (let number = 0; number < PICTURES; number++) {
    await picture
      .clone()
      .png()
      .toFile(path.join(folder, `frame_00000${number}.png`));
  }
}

/** Faces for the networks, one for each picture. */
export async function drawFaces(folder: string, colour: Colour): Promise<void> {
  await drawPictures(folder, Array(PICTURES).fill(colour), { width: FACE, height: FACE });
}

/** Masks, one for each picture: white left of column `x`, red there, and a colour that says nothing right of it. */
export async function drawMasks(folder: string, x: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { width, height } = SIZE;
  const data = Buffer.alloc(width * height * 3);
  for (let place = 0; place < width * height; place++) {
    const column = place % width;
    data.set(column < x ? [255, 255, 255] : column === x ? [255, 0, 0] : [0, 0, 255], place * 3);
  }
  const mask = sharp(data, { raw: { width, height, channels: 3 } });
  for (let number = 0; number < PICTURES; number++)
    await mask
      .clone()
      .png()
      .toFile(path.join(folder, `${number}.png`));
}

/** A video of one colour with as many pictures as an avatar has. */
export async function filmColour(file: string, colour: Colour, size = SIZE): Promise<void> {
  const [r, g, b] = COLOURS[colour];
  const graph = `color=c=0x${Buffer.from([r, g, b]).toString('hex')}:s=${size.width}x${size.height}:r=25`;
  const coding = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '1', '-pix_fmt', 'yuv420p'];
  await ffmpeg(...lavfi(graph), '-frames:v', String(PICTURES), ...coding, file);
}

/**
 * A video as a telephone makes it: 30 pictures a second of HDR (HLG, ten bits), held on its side. It shows red above
 * grey, and at 25 a second it has as many pictures as an avatar.
 */
export async function filmByPhone(file: string): Promise<void> {
  const { width, height } = SIZE;
  const halves = ['lum=372\\,400', 'cb=440\\,512', 'cr=693\\,512'].map((pair) => {
    const [plane, codes] = pair.split('=');
    return `${plane}=if(lt(X\\,W/2)\\,${codes})`;
  });
  // What was on the left comes to lie at the top.
  const graph = `color=black:s=${height}x${width}:r=30,format=yuv444p10le,geq=${halves.join(':')}`;
  const hlg = ['-color_trc', 'arib-std-b67', '-color_primaries', 'bt2020', '-colorspace', 'bt2020nc'];
  const coding = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '1', ...hlg, '-color_range', 'tv'];
  await ffmpeg(...lavfi(graph), '-frames:v', '4', ...coding, file);
  await showTurned(file, QUARTER_TURN);
}

export async function filmFaces(file: string, colour: Colour): Promise<void> {
  await filmColour(file, colour, { width: FACE, height: FACE });
}

/**
 * The files that the tests' models are made of, in one folder:
 * `crop.onnx` shows the face that it sees, `masked.onnx` the face with the mouth hidden, `audio_encoder.onnx` hears.
 */
export async function writeParts(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = (name: string) => path.join(folder, name);
  await Promise.all([
    writeFile(file('crop.onnx'), tinyNetwork({ deaf: true })),
    writeFile(file('masked.onnx'), tinyNetwork({ deaf: true, firstChannel: 3 })),
    writeFile(file('undecided.onnx'), tinyNetwork({ deaf: true, hears: [32, 'high', 'wide'] })),
    writeFile(file('hubert.onnx'), tinyNetwork({ deaf: true, hears: [16, 32, 32] })),
    writeFile(file('hubert_encoder.onnx'), tinyHubert()),
    writeFile(file('audio_encoder.onnx'), tinyEncoder()),
    writeFile(file('other_encoder.onnx'), tinyEncoder({ batch: 'windows' })),
    writeFile(file('rects.json'), rectsOf(RECT)),
    writeFile(file('low_rects.json'), rectsOf([14, 10, 28, 24])),
    writeFile(file('tall_rects.json'), rectsOf([4, 0, 28, 24])),
    drawPictures(file('blue'), Array(PICTURES).fill('blue')),
    drawPictures(file('red-green-yellow'), ['red', 'green', 'yellow']),
  ]);
}

export function rectsOf(rect: readonly number[], count = PICTURES): string {
  return JSON.stringify(Array(count).fill(rect));
}

/** What a run of the counting network says of itself, in the colour of a mouth: a tenth of full for each frame. */
export const COUNTED = { frames: 0.1, windows: 0.02 };
const COUNTING_BATCH = 4;
const FLOAT = 1;
const INT64 = 7;

/**
 * A network for four frames at a time whose mouth is as red as there are frames in the run, which are those that see
 * anything, and as green as there were windows in the run of the encoder.
 */
export function countingNetwork(): Uint8Array {
  const graph = new GraphBuilder('counting_network', 'For tests: shows how many frames and windows share a run.');
  const visual = graph.input('input', [COUNTING_BATCH, 6, FACE, FACE]);
  const audio = graph.input('audio', [COUNTING_BATCH, 32, 16, 16]);
  const seen = graph.node('Sign', [graph.node('ReduceMax', [visual], { axes: [1, 2, 3], keepdims: 1 })]);
  const frames = graph.node('ReduceSum', [seen, graph.integers(0)], { keepdims: 1 });
  const red = graph.node('Mul', [frames, graph.scalar(COUNTED.frames)]);
  const windows = graph.node('ReduceMax', [audio], { axes: [1, 2, 3], keepdims: 1 });
  const green = graph.node('Mul', [windows, graph.scalar(COUNTED.windows)]);
  const plane = graph.integers(COUNTING_BATCH, 1, FACE, FACE);
  const spread = (value: TensorName) => graph.node('Expand', [value, plane]);
  const none = graph.node('Mul', [green, graph.scalar(0)]);
  // The network's planes are blue, green, red.
  const picture = graph.node('Concat', [spread(none), spread(green), spread(red)], { axis: 1 });
  graph.output('output', picture, [COUNTING_BATCH, 3, FACE, FACE]);
  return encodeModel(graph.build());
}

/** An encoder whose features are the number of windows in its run. */
export function countingEncoder(): Uint8Array {
  const graph = new GraphBuilder('counting_encoder', 'For tests: hears how many windows share a run.');
  const windows = graph.input('mel_spectrogram', ['batch', 1, 80, 16]);
  const count = graph.node('Gather', [graph.node('Shape', [windows]), graph.integers(0)], { axis: 0 });
  const nothing = graph.node('Mul', [
    graph.node('ReduceMean', [windows], { axes: [2, 3], keepdims: 0 }),
    graph.scalar(0),
  ]);
  const counted = graph.node('Add', [nothing, graph.node('Cast', [count], { to: FLOAT })]);
  graph.output('audio_features', graph.node('Tile', [counted, graph.integers(1, 512)]), ['batch', 512]);
  return encodeModel(graph.build());
}

/** What the hanging network multiplies once it sees a picture: a minute and more on all the cores of a machine. */
const HANGING = { rows: 16_384, side: 2048, products: 100 };

/** A network that runs on zeros, as when it is warmed up, and does not come back from a run on a picture. */
export function hangingNetwork(): Uint8Array {
  const graph = new GraphBuilder('hanging_network', 'For tests: does not come back.');
  const visual = graph.input('input', ['batch', 6, FACE, FACE]);
  const audio = graph.input('audio', ['batch', 32, 16, 16]);
  const { rows, side, products } = HANGING;
  const seen = graph.node('Sign', [graph.node('ReduceMax', [visual], { keepdims: 0 })]);
  const more = graph.node('Mul', [seen, graph.scalar(rows - 1)]);
  const count = graph.node('Cast', [graph.node('Add', [more, graph.scalar(1)])], { to: INT64 });
  const shape = graph.node('Concat', [graph.node('Reshape', [count, graph.integers(1)]), graph.integers(side)], {
    axis: 0,
  });
  const heard = graph.node('ReduceMean', [audio], { keepdims: 0 });
  let matrix = graph.node('Expand', [heard, shape]);
  const factor = graph.node('Expand', [heard, graph.integers(side, side)]);
  for (let product = 0; product < products; product++) matrix = graph.node('MatMul', [matrix, factor]);
  const nothing = graph.node('Mul', [graph.node('ReduceMean', [matrix], { keepdims: 0 }), graph.scalar(0)]);
  const picture = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  graph.output('output', graph.node('Add', [picture, nothing]), ['batch', 3, FACE, FACE]);
  return encodeModel(graph.build());
}

/** What the slow network multiplies for each frame: some tenths of a second on a core. */
const SLOW_SIDE = 1024;
const SLOW_PRODUCTS = 4;

/** A network that takes its time with each frame. */
export function slowNetwork(): Uint8Array {
  const graph = new GraphBuilder('slow_network', 'For tests: takes its time.');
  const visual = graph.input('input', ['batch', 6, FACE, FACE]);
  const audio = graph.input('audio', ['batch', 32, 16, 16]);
  const zero = graph.node('Mul', [graph.node('ReduceMean', [audio], { keepdims: 0 }), graph.scalar(0)]);
  let matrix = graph.node('Expand', [zero, graph.integers(SLOW_SIDE, SLOW_SIDE)]);
  for (let product = 0; product < SLOW_PRODUCTS; product++) matrix = graph.node('MatMul', [matrix, matrix]);
  const nothing = graph.node('ReduceMean', [matrix], { keepdims: 0 });
  const picture = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  graph.output('output', graph.node('Add', [picture, nothing]), ['batch', 3, FACE, FACE]);
  return encodeModel(graph.build());
}
