/**
 * An avatar for tests that do not look at a mouth: networks that cost next to nothing and pictures of 64×48, but real
 * ONNX with the tensor contract. A frame of it is made in a tenth of the time that one of the demo avatar takes. No two
 * of its pictures look alike, and its face is the brighter the louder the sound, so that frames can be told apart.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { buildFolder, stampOf } from '../../avatars/build-folder.ts';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { type Graph, GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import { tinyHubert, tinyWenet } from '../onnx/tiny-onnx.ts';

const OUT_DIR = path.join(import.meta.dirname, 'build');
const NETWORK_SIDE = 160;
/** What a window of silence has in every band. */
const SILENCE = -4;
const ABOUT_GENERATOR = 'For tests: a louder sound makes a brighter face.';
/** Of the whole range of brightness, for each unit by which the mel is above silence. */
const BRIGHTER_BY = 0.1;

/** Number of its pictures. */
export const SMALL_PICTURES = 7;
export const SMALL_PICTURE = { width: 64, height: 48 } as const;
/** Crop rect of every picture. */
export const SMALL_FACE = { x1: 8, y1: 4, x2: 48, y2: 44 } as const;

/** The small avatar's entry of `models:`. */
export const SMALL_MODEL = {
  model_path: path.join(OUT_DIR, 'generator.onnx'),
  audio_encoder_path: path.join(OUT_DIR, 'audio_encoder.onnx'),
  background_dir: path.join(OUT_DIR, 'frames'),
  crop_rects_path: path.join(OUT_DIR, 'crop_rects.json'),
};

/** The same with a network as other exports leave it: other names, the sound first, and one frame a run. */
export const RENAMED_MODEL = { ...SMALL_MODEL, model_path: path.join(OUT_DIR, 'renamed.onnx') };

/** The same in front of nothing: the pictures have alpha, by which the left of the face is not seen. */
export const CLEAR_MODEL = { ...SMALL_MODEL, background_dir: path.join(OUT_DIR, 'clear') };
/** Pictures of a clip for long silences, lighter than all of the avatar's. */
export const IDLE_DIR = path.join(OUT_DIR, 'idle');
/** What is red in each of them; of the avatar's own pictures less than half of that. */
export const IDLE_REDS = [225, 235, 245] as const;

/** Its alpha in each column: nothing on the left, half of it in between, all on the right. */
export function clearAlpha(x: number): number {
  if (x < 16) return 0;
  return x < 24 ? 128 : 255;
}

/** The same avatar with networks that hear other features, of 8 rows, and encoders of those. */
export const SMALL_HEARERS = {
  hubert: {
    ...SMALL_MODEL,
    model_path: path.join(OUT_DIR, 'hears_hubert.onnx'),
    audio_encoder_path: path.join(OUT_DIR, 'hubert.onnx'),
  },
  wenet: {
    ...SMALL_MODEL,
    model_path: path.join(OUT_DIR, 'hears_wenet.onnx'),
    audio_encoder_path: path.join(OUT_DIR, 'wenet.onnx'),
  },
};

/** Builds the small avatar if it is not there; several test files may ask at once. */
export async function buildSmallAvatar(): Promise<void> {
  const stamp = await stampOf([], await readFile(import.meta.filename, 'utf8'));
  await buildFolder({ outDir: OUT_DIR, stamp, write: writeAvatar });
}

/**
 * How much brighter a face is than the avatar's own picture, 0 … 255: nearly 0 in silence, more in speech.
 * @param frameIndex of a render or stream that began at the first picture.
 */
export async function faceBrightness(jpeg: Uint8Array, frameIndex: number): Promise<number> {
  return (await meanOfFace(sharp(jpeg))) - (await meanOfFace(sharp(await picture(pingPong(frameIndex)))));
}

/** The same of a frame as RGB, out of a video, say: its colours may be off by one. */
export async function faceBrightnessOfPixels(rgb: Uint8Array, frameIndex: number): Promise<number> {
  const own = sharp(await picture(pingPong(frameIndex)));
  return (await meanOfFace(sharp(rgb, { raw: { ...SMALL_PICTURE, channels: 3 } }))) - (await meanOfFace(own));
}

async function meanOfFace(picture: Sharp): Promise<number> {
  const { x1, y1, x2, y2 } = SMALL_FACE;
  const face = picture.extract({ left: x1, top: y1, width: x2 - x1, height: y2 - y1 });
  const { data } = await face.raw().toBuffer({ resolveWithObject: true });
  return data.reduce((sum, value) => sum + value, 0) / data.length;
}

function pingPong(frameIndex: number): number {
  const phase = frameIndex % (2 * SMALL_PICTURES - 2);
  return phase < SMALL_PICTURES ? phase : 2 * SMALL_PICTURES - 2 - phase;
}

async function writeAvatar(folder: string): Promise<Record<string, unknown>> {
  await mkdir(path.join(folder, 'frames'));
  await mkdir(path.join(folder, 'clear'));
  for (let index = 0; index < SMALL_PICTURES; index++) {
    await writeFile(path.join(folder, 'frames', `frame_00000${index}.jpg`), await picture(index));
    await writeFile(path.join(folder, 'clear', `frame_00000${index}.png`), await clearPicture(index));
  }
  await mkdir(path.join(folder, 'idle'));
  for (const [index, r] of IDLE_REDS.entries()) {
    const idle = sharp({ create: { ...SMALL_PICTURE, channels: 3, background: { r, g: 220, b: 200 } } });
    await idle.png().toFile(path.join(folder, 'idle', `${index}.png`));
  }
  const { x1, y1, x2, y2 } = SMALL_FACE;
  await writeFile(path.join(folder, 'crop_rects.json'), JSON.stringify(Array(SMALL_PICTURES).fill([x1, y1, x2, y2])));
  await writeFile(path.join(folder, 'audio_encoder.onnx'), encodeModel(encoderGraph()));
  await writeFile(path.join(folder, 'generator.onnx'), encodeModel(generatorGraph()));
  await writeFile(path.join(folder, 'renamed.onnx'), encodeModel(renamedGraph()));
  await writeFile(path.join(folder, 'hubert.onnx'), tinyHubert());
  await writeFile(path.join(folder, 'wenet.onnx'), tinyWenet());
  await writeFile(path.join(folder, 'hears_hubert.onnx'), encodeModel(hearerGraph([16, 32, 32], BRIGHTER_BY)));
  await writeFile(path.join(folder, 'hears_wenet.onnx'), encodeModel(hearerGraph([128, 16, 32], BRIGHTER_BY / 10)));
  return { about: 'A small avatar for tests.' };
}

async function picture(index: number): Promise<Buffer> {
  const background = { r: 20 + 14 * index, g: 60, b: 110 - 10 * index };
  return await sharp({ create: { ...SMALL_PICTURE, channels: 3, background } })
    .jpeg()
    .toBuffer();
}

async function clearPicture(index: number): Promise<Buffer> {
  const { width, height } = SMALL_PICTURE;
  const alpha = Uint8Array.from({ length: width * height }, (_, at) => clearAlpha(at % width));
  return await sharp(await picture(index))
    .joinChannel(Buffer.from(alpha), { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

/** All features of a window are its mean above silence. */
function encoderGraph(): Graph {
  const graph = new GraphBuilder('small-encoder', 'For tests: how loud its window is.');
  const windows = graph.input('mel_spectrogram', ['batch', 1, 80, 16]);
  const mean = graph.node('ReduceMean', [windows], { axes: [2, 3], keepdims: 0 });
  const loudness = graph.node('Sub', [mean, graph.tensor([1], Float32Array.of(SILENCE))]);
  graph.output('audio_features', graph.node('Tile', [loudness, graph.integers(1, 512)]), ['batch', 512]);
  return graph.build();
}

function generatorGraph(): Graph {
  const graph = new GraphBuilder('small-generator', ABOUT_GENERATOR);
  const visual = graph.input('input', ['batch', 6, NETWORK_SIDE, NETWORK_SIDE]);
  const audio = graph.input('audio', ['batch', 32, 16, 16]);
  graph.output('output', brightened(graph, visual, audio), ['batch', 3, NETWORK_SIDE, NETWORK_SIDE]);
  return graph.build();
}

function renamedGraph(): Graph {
  const graph = new GraphBuilder('small-generator', ABOUT_GENERATOR);
  const audio = graph.input('onnx::Cast_0', [1, 32, 16, 16]);
  const visual = graph.input('faces', [1, 6, NETWORK_SIDE, NETWORK_SIDE]);
  graph.output('318', brightened(graph, visual, audio), [1, 3, NETWORK_SIDE, NETWORK_SIDE]);
  return graph.build();
}

/** The picture, brighter by the mean of the audio input. */
function brightened(graph: GraphBuilder, visual: TensorName, audio: TensorName): TensorName {
  const face = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  const loudness = graph.node('ReduceMean', [audio], { axes: [1, 2, 3], keepdims: 1 });
  const brighter = graph.node('Mul', [loudness, graph.tensor([1], Float32Array.of(BRIGHTER_BY))]);
  return graph.node('Add', [face, brighter]);
}

/** The picture, brighter by what it hears, and by the later rows more than by the earlier ones. */
function hearerGraph(shape: readonly [number, number, number], brighterBy: number): Graph {
  const graph = new GraphBuilder('small-hearer', 'For tests: a louder sound makes a brighter face.');
  const visual = graph.input('input', ['batch', 6, NETWORK_SIDE, NETWORK_SIDE]);
  const audio = graph.input('audio', ['batch', ...shape]);
  const [channels] = shape;
  const weights = Float32Array.from({ length: channels }, (_, channel) => (brighterBy * (channel + 1)) / channels);
  const weighed = graph.node('Mul', [audio, graph.tensor([channels, 1, 1], weights)]);
  const brighter = graph.node('ReduceMean', [weighed], { axes: [1, 2, 3], keepdims: 1 });
  const face = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  graph.output('output', graph.node('Add', [face, brighter]), ['batch', 3, NETWORK_SIDE, NETWORK_SIDE]);
  return graph.build();
}
