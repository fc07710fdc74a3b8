import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { LocalArtifacts } from '../../shared/artifacts.ts';
import { addModel, hasModel } from '../../shared/config/add-model.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { MODEL_ID } from '../../shared/limits.ts';
import { type Environment, readEnvironment } from '../../shared/process/environment.ts';
import { reportFailure } from '../../shared/process/report-failure.ts';
import { readCropRects } from '../avatar/crop-rects.ts';
import { findDataset, PICTURES_FOLDER, rectsFromLandmarks } from '../avatar/dataset.ts';
import { extractFrames } from '../avatar/extract-frames.ts';
import { loadAlone } from '../models/loaded-model.ts';
import { findProblems } from '../models/model-problems.ts';
import { findNetworks } from '../onnx/exported-networks.ts';
import type { Rect } from '../pipeline/contract.ts';
import { type PreviewFacts, renderPreview } from './preview-video.ts';

/**
 * `node worker/commands/import-avatar.ts DIR …`: makes a model of the farm from a dataset folder. `farm avatar import` runs it.
 * Crop rects, preview and configuration appear together at the end, or not at all.
 */

const SAMPLE_SPEECH = fileURLToPath(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
const PREVIEW_SECONDS = 2;
const RECTS_FILE = 'crop_rects.json';

interface ImportOptions {
  readonly folder: string;
  readonly modelId: string;
  readonly configPath: string;
  readonly modelPath: string | undefined;
  readonly audioEncoderPath: string | undefined;
  /** What S must be; read from the network when absent. */
  readonly size: number | undefined;
  readonly outDir: string;
  readonly preview: boolean;
  readonly replace: boolean;
  readonly environment: Environment;
}

async function importAvatar(options: ImportOptions, signal: AbortSignal): Promise<void> {
  const { folder, modelId, configPath, outDir, environment } = options;
  if (!options.replace && (await hasModel(configPath, modelId, environment))) {
    throw new FarmError('model_exists', `${configPath} has a model "${modelId}" already`);
  }
  const dataset = await findDataset(folder);
  const networks = await findNetworks(dataset.onnxPaths, options);
  await using undo = new AsyncDisposableStack();
  let backgroundDir = dataset.pictures.path;
  if (dataset.pictures.kind === 'video') {
    backgroundDir = path.join(outDir, PICTURES_FOLDER);
    const frames = await extractFrames(dataset.pictures.path, backgroundDir, {}, signal);
    undo.defer(() => rm(backgroundDir, { recursive: true, force: true }));
    say('video', `${frames} pictures of ${path.basename(dataset.pictures.path)} → ${backgroundDir}`);
  }
  const { rects, size } = await rectsFromLandmarks(backgroundDir, dataset.landmarksFolder);
  say('pictures', `${rects.length} of ${size.width}×${size.height} in ${backgroundDir}`);
  say('rects', describeRects(rects));

  const output = new LocalArtifacts(outDir);
  const cropRectsPath = output.localPath(RECTS_FILE);
  if (!options.replace) await keepOtherRects(cropRectsPath, rects);
  const model = { modelId, backgroundDir, cropRectsPath, ...networks };
  const added = { configPath, model, replace: options.replace, environment };
  await addModel(added, async (config) => {
    await output.publish(RECTS_FILE, async (draft) => {
      await writeFile(
        draft,
        `[\n${rects.map(({ x1, y1, x2, y2 }) => `  [${x1}, ${y1}, ${x2}, ${y2}]`).join(',\n')}\n]\n`,
      );
      await tryModel(config, options, draft, output, signal);
    });
  });
  undo.move();
  say('config', `models.${modelId} in ${configPath}`);
}

/** Crop rects that somebody made by hand are not ours to replace. */
async function keepOtherRects(cropRectsPath: string, rects: readonly Rect[]): Promise<void> {
  if (!existsSync(cropRectsPath)) return;
  if (isDeepStrictEqual(await readCropRects(cropRectsPath), rects)) return;
  throw new FarmError(
    'model_exists',
    `${cropRectsPath} has other rects than the landmarks give, or other pictures: --out names another folder`,
  );
}

/** Loads the model as a GPU worker would, which runs both networks once, and renders the preview with it. */
async function tryModel(
  config: Config,
  { modelId, size, preview }: ImportOptions,
  rectsDraft: string,
  output: LocalArtifacts,
  signal: AbortSignal,
): Promise<void> {
  const { execution_providers, intra_op_threads } = config.onnx;
  const model = config.models.get(modelId);
  if (model === undefined) throw new FarmError('internal', `the new configuration has no model ${modelId}`);
  const entry = { ...model, cropRectsPath: rectsDraft };
  const problems = await findProblems(entry);
  if (problems.length > 0) throw new FarmError('model_unusable', problems.join('; '));
  const loaded = await loadAlone({
    entry,
    providers: execution_providers,
    threads: { intraOp: intra_op_threads || availableParallelism(), interOp: 1 },
    cachedFrames: config.capacity.background_cache_frames,
  });
  try {
    const { network, provider, msPerFrame } = loaded;
    if (size !== undefined && size !== network.size) {
      throw new FarmError('model_unusable', `${model.modelPath} has S = ${network.size}: --size asks for ${size}`);
    }
    say('network', `${model.modelPath}, ${network.size}², ${provider.provider}, ${msPerFrame.toFixed(1)} ms/frame`);
    say('encoder', model.audioEncoderPath);
    if (!preview) return;
    const settings = config.render;
    const facts = await output.publish(`${modelId}-preview.mp4`, async (outputPath): Promise<PreviewFacts> => {
      const wanted = { audioPath: SAMPLE_SPEECH, seconds: PREVIEW_SECONDS, settings, outputPath };
      return await renderPreview(loaded, wanted, signal);
    });
    const speed = `${facts.msPerFrame.toFixed(1)} ms/frame in all`;
    say('preview', `${output.localPath(`${modelId}-preview.mp4`)}, ${facts.frames} frames, ${speed}`);
  } finally {
    await loaded.release();
  }
}

function describeRects(rects: readonly Rect[]): string {
  const sides = rects.map(({ x1, x2 }) => x2 - x1).sort((a, b) => a - b);
  const { x1, y1, x2, y2 } = rects[0] as Rect;
  return `${sides[0]} to ${sides.at(-1)} pixels wide, the first [${x1}, ${y1}, ${x2}, ${y2}]`;
}

function say(subject: string, text: string): void {
  process.stdout.write(`${subject.padEnd(10)}${text}\n`);
}

function readOptions(): ImportOptions {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      id: { type: 'string' },
      config: { type: 'string' },
      model: { type: 'string' },
      'audio-encoder': { type: 'string' },
      size: { type: 'string' },
      out: { type: 'string' },
      'no-preview': { type: 'boolean', default: false },
      force: { type: 'boolean', default: false },
    },
  });
  const [folder = ''] = positionals;
  const environment = readEnvironment();
  const modelId = values.id ?? path.basename(path.resolve(folder));
  if (!MODEL_ID.test(modelId)) {
    throw new FarmError(
      'request_invalid',
      `"${modelId}" cannot be a model id: name one with --id, of letters, digits, ".", "_" and "-"`,
    );
  }
  const absolute = (value: string | undefined) => (value === undefined ? undefined : path.resolve(value));
  return {
    folder: path.resolve(folder),
    modelId,
    configPath: path.resolve(values.config ?? environment.configPath ?? 'config.yaml'),
    modelPath: absolute(values.model),
    audioEncoderPath: absolute(values['audio-encoder']),
    size: values.size === undefined ? undefined : Number(values.size),
    outDir: path.resolve(values.out ?? folder),
    preview: !values['no-preview'],
    replace: values.force,
    environment,
  };
}

async function main(): Promise<void> {
  const stop = new AbortController();
  const interrupt = () =>
    stop.abort(new FarmError('render_cancelled', 'The import was interrupted; nothing was changed'));
  // Both may come twice: from the terminal, and from the command that started this.
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  await importAvatar(readOptions(), stop.signal);
}

main().catch(reportFailure);
