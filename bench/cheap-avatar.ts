import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { encodeModel } from '../shared/onnx/encode.ts';
import { type Graph, GraphBuilder } from '../shared/onnx/graph.ts';

/**
 * An avatar whose networks cost next to nothing, in small pictures: what is left of a request's time is the path that
 * it takes. The networks are real ONNX and honour the tensor contract.
 */

const WIDTH = 320;
const HEIGHT = 180;
const NETWORK_SIZE = 160;
const FRAMES = 4;
const CROP = [80, 10, 240, 170] as const;

export type CheapAvatar = Awaited<ReturnType<typeof writeCheapAvatar>>;

/** Entry of `models:` for the avatar in `folder`, which is written first. */
export async function writeCheapAvatar(folder: string) {
  const framesDir = path.join(folder, 'frames');
  await mkdir(framesDir, { recursive: true });
  for (let index = 0; index < FRAMES; index++) {
    const picture = sharp({ create: { width: WIDTH, height: HEIGHT, channels: 3, background: '#876' } });
    await picture.jpeg().toFile(path.join(framesDir, `frame_${String(index).padStart(6, '0')}.jpg`));
  }
  const entry = {
    ...(await writeCheapNetworks(folder)),
    background_dir: framesDir,
    crop_rects_path: path.join(folder, 'crop_rects.json'),
    preload_model: true,
  };
  await writeFile(entry.crop_rects_path, JSON.stringify(Array.from({ length: FRAMES }, () => CROP)));
  return entry;
}

/** Writes the two networks alone, for other pictures. */
export async function writeCheapNetworks(folder: string) {
  const paths = {
    model_path: path.join(folder, 'generator.onnx'),
    audio_encoder_path: path.join(folder, 'audio_encoder.onnx'),
  };
  await writeFile(paths.model_path, encodeModel(cheapGenerator()));
  await writeFile(paths.audio_encoder_path, encodeModel(cheapEncoder()));
  return paths;
}

/** Gives the picture back, with the loudness added. */
function cheapGenerator(): Graph {
  const graph = new GraphBuilder('cheap_generator', 'For benchmarks of the path: gives its input back.');
  const visual = graph.input('input', ['batch', 6, NETWORK_SIZE, NETWORK_SIZE]);
  const audio = graph.input('audio', ['batch', 32, 16, 16]);
  const picture = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  const loudness = graph.node('ReduceMean', [audio], { axes: [1, 2, 3], keepdims: 1 });
  graph.output('output', graph.node('Add', [picture, loudness]), ['batch', 3, NETWORK_SIZE, NETWORK_SIZE]);
  return graph.build();
}

/** The mean of a window, 512 times. */
function cheapEncoder(): Graph {
  const graph = new GraphBuilder('cheap_encoder', 'For benchmarks of the path: the mean of its window.');
  const windows = graph.input('mel_spectrogram', ['batch', 1, 80, 16]);
  const mean = graph.node('ReduceMean', [windows], { axes: [2, 3], keepdims: 0 });
  graph.output('audio_features', graph.node('Tile', [mean, graph.integers(1, 512)]), ['batch', 512]);
  return graph.build();
}
