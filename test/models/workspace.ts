/** A folder of its own for a test: tiny models, drawn pictures, crop rects. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import sharp from 'sharp';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { tinyEncoder, tinyNetwork } from '../onnx/tiny-onnx.ts';
import { modelConfig } from '../support/model-config.ts';

export interface Workspace {
  readonly folder: string;
  /** Writes a file and returns its path. */
  write(name: string, content: Uint8Array | string): Promise<string>;
}

/** A temporary folder that goes when the test ends. */
export async function openWorkspace(test: Pick<TestContext, 'after'>): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), 'farm-test-'));
  test.after(() => rm(folder, { recursive: true }));
  return {
    folder,
    write: async (name, content) => {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    },
  };
}

export interface Picture {
  readonly width?: number;
  readonly height?: number;
  /** Red of every pixel, 0 … 255; tells pictures apart. */
  readonly red?: number;
}

/** A one-coloured picture file, encoded as `extension` says. */
export async function drawPicture(extension: 'png' | 'jpg' | 'jpeg', picture: Picture = {}): Promise<Uint8Array> {
  const { width = 32, height = 24, red = 0 } = picture;
  const image = sharp({ create: { width, height, channels: 3, background: { r: red, g: 128, b: 64 } } });
  return new Uint8Array(await image.toFormat(extension === 'png' ? 'png' : 'jpeg').toBuffer());
}

/** The files of a whole tiny model with three backgrounds of 32×24. */
export async function writeTinyModel(workspace: Workspace): Promise<ModelConfig> {
  for (const index of [0, 1, 2]) {
    await workspace.write(`frame_${String(index).padStart(6, '0')}.png`, await drawPicture('png', { red: index }));
  }
  return modelConfig({
    modelPath: await workspace.write('network.onnx', tinyNetwork()),
    audioEncoderPath: await workspace.write('encoder.onnx', tinyEncoder()),
    backgroundDir: workspace.folder,
    cropRectsPath: await workspace.write('rects.json', JSON.stringify(Array(3).fill([4, 4, 20, 20]))),
  });
}
