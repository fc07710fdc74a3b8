/**
 * Builds the demo avatar: `node avatars/demo/build.ts [outDir]`.
 * Writes frames/, crop_rects.json, audio_encoder.onnx, generator.onnx and manifest.json; the same bytes every time.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { buildFolder, stampOf } from '../build-folder.ts';
import { encoderGraph } from './encoder-model.ts';
import { generatorGraph } from './generator-model.ts';
import { FRAME_COUNT } from './pose.ts';
import { CROP_SIDE, NETWORK_SIDE, PICTURE_HEIGHT, PICTURE_WIDTH } from './scene-geometry.ts';
import { cropRects, writeFrames } from './write-frames.ts';

const DEMO_BUILD_DIR = join(import.meta.dirname, 'build');

/** Paths of a built demo avatar, for a configuration. */
export interface DemoAvatar {
  readonly dir: string;
  readonly framesDir: string;
  readonly cropRectsPath: string;
  readonly encoderPath: string;
  readonly generatorPath: string;
  readonly manifestPath: string;
  readonly frameCount: number;
  /** False when an up-to-date build was there. */
  readonly built: boolean;
}

/** Builds into `outDir` unless an up-to-date build is there. About 4 s on 2 cores. */
export async function buildDemoAvatar(outDir: string = DEMO_BUILD_DIR): Promise<DemoAvatar> {
  const drawnBy = `sharp ${sharp.versions.sharp ?? ''}, librsvg ${sharp.versions.rsvg ?? ''}`;
  const here = import.meta.dirname;
  const stamp = await stampOf(
    [here, join(here, '../onnx'), join(here, '../../shared/onnx'), join(here, '..')],
    drawnBy,
  );
  const built = await buildFolder({ outDir, stamp, write: (folder) => writeAvatar(folder, drawnBy) });
  return {
    dir: outDir,
    framesDir: join(outDir, 'frames'),
    cropRectsPath: join(outDir, 'crop_rects.json'),
    encoderPath: join(outDir, 'audio_encoder.onnx'),
    generatorPath: join(outDir, 'generator.onnx'),
    manifestPath: join(outDir, 'manifest.json'),
    frameCount: FRAME_COUNT,
    built,
  };
}

async function writeAvatar(folder: string, drawnBy: string): Promise<Record<string, unknown>> {
  await mkdir(join(folder, 'frames'));
  await writeFrames(join(folder, 'frames'));
  const rects = cropRects().map(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]);
  await writeFile(join(folder, 'crop_rects.json'), `${JSON.stringify(rects)}\n`);
  await writeFile(join(folder, 'audio_encoder.onnx'), encodeModel(encoderGraph()));
  await writeFile(join(folder, 'generator.onnx'), encodeModel(generatorGraph()));
  return {
    name: 'demo',
    kind: 'procedural',
    about: 'A drawn presenter and two hand-written ONNX graphs. Nothing here was trained, and nobody was filmed.',
    drawnBy,
    frames: { count: FRAME_COUNT, width: PICTURE_WIDTH, height: PICTURE_HEIGHT, pattern: 'frames/frame_%06d.jpg' },
    cropSide: CROP_SIDE,
    networkSide: NETWORK_SIDE,
  };
}

if (import.meta.main) {
  const startedMs = performance.now();
  const avatar = await buildDemoAvatar(process.argv[2] ?? DEMO_BUILD_DIR);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(avatar.built ? `Built ${avatar.dir} in ${seconds} s.` : `${avatar.dir} is up to date.`);
}
