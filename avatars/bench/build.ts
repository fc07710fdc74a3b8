/**
 * Builds the benchmark networks: `node avatars/bench/build.ts [outDir] [--size 160|320]`.
 * Writes generator.onnx, audio_encoder.onnx and manifest.json; the same bytes every time.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { buildFolder, stampOf } from '../build-folder.ts';
import { type BenchSize, benchEncoder, benchGenerator, type CountedNetwork } from './networks.ts';

/** Where a size is built when no folder is named. */
function benchBuildDir(size: BenchSize): string {
  return join(import.meta.dirname, size === 320 ? 'build' : `build-${size}`);
}

export interface BenchModels {
  readonly dir: string;
  readonly encoderPath: string;
  readonly generatorPath: string;
  readonly manifestPath: string;
  /** False when an up-to-date build was there. */
  readonly built: boolean;
}

/** Builds into `outDir` unless an up-to-date build is there. About 1 s, 59 MB. */
export async function buildBenchModels(size: BenchSize = 320, outDir = benchBuildDir(size)): Promise<BenchModels> {
  const here = import.meta.dirname;
  const stamp = await stampOf(
    [here, join(here, '../onnx'), join(here, '../../shared/onnx'), join(here, '..')],
    `size ${size}`,
  );
  const built = await buildFolder({ outDir, stamp, write: (folder) => writeModels(folder, size) });
  return {
    dir: outDir,
    encoderPath: join(outDir, 'audio_encoder.onnx'),
    generatorPath: join(outDir, 'generator.onnx'),
    manifestPath: join(outDir, 'manifest.json'),
    built,
  };
}

async function writeModels(folder: string, size: BenchSize): Promise<Record<string, unknown>> {
  const generator = benchGenerator(size);
  const encoder = benchEncoder();
  await writeFile(join(folder, 'generator.onnx'), encodeModel(generator.graph));
  await writeFile(join(folder, 'audio_encoder.onnx'), encodeModel(encoder.graph));
  return {
    name: 'bench',
    kind: 'random weights',
    about: 'Networks of the size of trained ones with seeded random weights: for timing, not for looking at.',
    networkSide: size,
    generator: sizeOf(generator),
    encoder: sizeOf(encoder),
  };
}

function sizeOf({ parameters, multiplyAccumulates }: CountedNetwork): Record<string, number> {
  return { parameters, multiplyAccumulates };
}

function describe(name: string, network: CountedNetwork): string {
  const millions = (count: number) => (count / 1e6).toFixed(2);
  return `${name}: ${millions(network.parameters)} M parameters, ${millions(network.multiplyAccumulates)} MMAC`;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: { size: { type: 'string', default: '320' } },
    allowPositionals: true,
  });
  if (values.size !== '160' && values.size !== '320') throw new RangeError(`--size is 160 or 320, not ${values.size}`);
  const size = values.size === '160' ? 160 : 320;
  const startedMs = performance.now();
  const models = await buildBenchModels(size, positionals[0] ?? benchBuildDir(size));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(models.built ? `Built ${models.dir} in ${seconds} s.` : `${models.dir} is up to date.`);
  console.log(describe(`generator at ${size} pixels, a frame`, benchGenerator(size)));
  console.log(describe('audio encoder, a window', benchEncoder()));
}
