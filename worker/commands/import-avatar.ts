import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { LocalArtifacts } from '../../shared/artifacts.ts';
import { addModel, hasModel, type NewModel } from '../../shared/config/add-model.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { reportFailure } from '../../shared/process/report-failure.ts';
import { readCropRects } from '../avatar/crop-rects.ts';
import {
  type Dataset,
  type DatasetRects,
  findDataset,
  matchRects,
  PICTURES_FOLDER,
  readLandmarkRects,
  rectsOfPictures,
} from '../avatar/dataset.ts';
import { extractFrames } from '../avatar/extract-frames.ts';
import { findMasks } from '../avatar/mask-files.ts';
import { checkPictures } from '../avatar/picture-file.ts';
import { loadSettings } from '../models/load-settings.ts';
import { loadAlone } from '../models/loaded-model.ts';
import { findProblems } from '../models/model-problems.ts';
import type { Rect } from '../pipeline/contract.ts';
import {
  findImportNetworks,
  type ImportNetworks,
  keepOtherNetworks,
  type NewNetwork,
  publishNetworks,
} from './import-networks.ts';
import { type ImportOptions, readImportOptions } from './import-options.ts';
import { renderPreview } from './preview-video.ts';

/**
 * `node worker/commands/import-avatar.ts DIR …`: makes a model of the farm from a dataset folder. `farm avatar import`
 * runs it.
 */

const SAMPLE_SPEECH = fileURLToPath(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
const PREVIEW_SECONDS = 2;
const RECTS_FILE = 'crop_rects.json';

/**
 * Makes a model of a dataset folder. Crop rects, preview and configuration appear together at the end, or not at all.
 * @returns what `--json` prints.
 * @throws FarmError for what cannot be used or read, and what is there already; the reason of `signal` when it is
 * aborted. Nothing is changed then.
 */
export async function importAvatar(options: ImportOptions, signal: AbortSignal): Promise<object> {
  const { modelId, configPath, outDir, environment, say } = options;
  if (!options.replace && (await hasModel(configPath, modelId, environment))) {
    throw new FarmError('model_exists', `${configPath} has a model "${modelId}" already`);
  }
  const { dataset, networks: found } = await findParts(options);
  const { notes, made, ...networks } = found;
  await using undo = new AsyncDisposableStack();
  for (const needed of [outDir, path.dirname(configPath)]) await makeFolder(needed, undo);
  const pictures = await readyPictures(dataset, options, undo, signal);
  const { rects, size, backgroundDir } = pictures;
  say('pictures', `${rects.length} of ${size.width}×${size.height} in ${backgroundDir}`);
  say('rects', describeRects(rects));
  const masksDir = await checkMasks(dataset, options, pictures, signal);
  for (const { words } of made) say('weights', words);
  for (const note of notes) say('note', note);
  const cropRectsPath = path.join(outDir, RECTS_FILE);
  if (!options.replace) await keepOtherRects(cropRectsPath, rects);
  if (!options.replace) await keepOtherNetworks(made);
  await publish({ modelId, backgroundDir, cropRectsPath, masksDir, ...networks }, { rects, made }, options, signal);
  undo.move();
  say('config', `models.${modelId} in ${configPath}`);
  const preview = options.preview ? path.join(outDir, previewFile(options)) : null;
  return { model_id: modelId, config: configPath, crop_rects: cropRectsPath, preview, pictures: rects.length };
}

interface Drafts {
  readonly rectsDraft: string;
  readonly previewDraft: string | undefined;
  /** Of new networks, by the paths that these will have. */
  readonly networks: ReadonlyMap<string, string>;
}

/**
 * Preview, crop rects, new networks and configuration are drafts until everything has been tried; then they are renamed,
 * in this order.
 */
async function publish(
  model: NewModel,
  { rects, made }: { rects: readonly Rect[]; made: readonly NewNetwork[] },
  options: ImportOptions,
  signal: AbortSignal,
): Promise<void> {
  const { configPath, replace, environment } = options;
  const output = new LocalArtifacts(options.outDir);
  await addModel({ configPath, model, replace, environment }, async (config, refuseIfChanged) => {
    await publishNetworks(output, made, async (networks) => {
      await output.publish(RECTS_FILE, async (rectsDraft) => {
        await writeFile(rectsDraft, rectsJson(rects));
        const attempt = async (previewDraft?: string) => {
          await tryModel(config, options, { rectsDraft, previewDraft, networks }, signal);
          signal.throwIfAborted();
          await refuseIfChanged();
        };
        await (options.preview ? output.publish(previewFile(options), attempt) : attempt());
      });
    });
  });
}

/** Makes a folder that is not there; `undo` removes all that was made for it. */
async function makeFolder(folder: string, undo: AsyncDisposableStack): Promise<void> {
  const made = await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new FarmError('storage_failed', `${folder} cannot be made: ${cause.message}`, { cause });
  });
  if (made !== undefined) undo.defer(() => rm(made, { recursive: true, force: true }));
}

/** Looks for everything first, so that one error names all that is missing. */
async function findParts(options: ImportOptions): Promise<{ dataset: Dataset; networks: ImportNetworks }> {
  const [dataset, networks] = await Promise.allSettled([findDataset(options.folder), findImportNetworks(options)]);
  if (dataset.status === 'fulfilled' && networks.status === 'fulfilled') {
    return { dataset: dataset.value, networks: networks.value };
  }
  const reasons: unknown[] = [dataset, networks].flatMap((part) => (part.status === 'rejected' ? [part.reason] : []));
  // In a folder that cannot be read nothing is missing.
  const other = reasons.find((reason) => !(reason instanceof FarmError) || reason.code !== 'model_unusable');
  if (other !== undefined) throw other;
  const messages = reasons.map((reason) => (reason as FarmError).message);
  throw new FarmError('model_unusable', messages.join('\n      '), { cause: reasons[0] });
}

/** The pictures and their rects, with pictures that are still in a video extracted; `undo` removes those again. */
async function readyPictures(
  { pictures, landmarksFolder }: Dataset,
  { outDir, say }: ImportOptions,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<DatasetRects & { backgroundDir: string }> {
  const landmarks = await readLandmarkRects(landmarksFolder);
  if (pictures.kind === 'folder') {
    const found = await rectsOfPictures(pictures.path, landmarks);
    await checkPictures(found.paths, found.size, signal);
    return { ...found, backgroundDir: pictures.path };
  }
  const backgroundDir = path.join(outDir, PICTURES_FOLDER);
  const check = (count: number) => {
    matchRects([...Array(count).keys()], `${pictures.path}, at 25 a second`, landmarks);
  };
  const frames = await extractFrames(pictures.path, backgroundDir, { check }, signal);
  undo.defer(() => rm(backgroundDir, { recursive: true, force: true }));
  say('video', `${frames} pictures of ${path.basename(pictures.path)} → ${backgroundDir}`);
  return { ...(await rectsOfPictures(backgroundDir, landmarks)), backgroundDir };
}

/**
 * The folder of the masks, if each picture has one of its size.
 * @returns "" when they are not wanted, undefined when there are none.
 */
async function checkMasks(
  { masksFolder }: Dataset,
  { masks, say }: ImportOptions,
  { paths, size }: DatasetRects,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!masks) return '';
  if (masksFolder === undefined) return undefined;
  const found = await findMasks(masksFolder, paths).catch((cause: FarmError) => {
    throw new FarmError(cause.code, `${cause.message}; --no-masks leaves masks out`, { cause });
  });
  await checkPictures(found, size, signal);
  say('masks', `${found.length} in ${masksFolder}: red and white stay the picture's`);
  return masksFolder;
}

function rectsJson(rects: readonly Rect[]): string {
  return `[\n${rects.map(({ x1, y1, x2, y2 }) => `  [${x1}, ${y1}, ${x2}, ${y2}]`).join(',\n')}\n]\n`;
}

/** Crop rects that exist already may be made by hand, and are not replaced. */
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
  options: ImportOptions,
  { rectsDraft, previewDraft, networks }: Drafts,
  signal: AbortSignal,
): Promise<void> {
  const { modelId, size, say } = options;
  const model = config.models.get(modelId);
  if (model === undefined) throw new FarmError('internal', `the new configuration has no model ${modelId}`);
  const draftOf = (file: string) => networks.get(file) ?? file;
  const { modelPath, audioEncoderPath } = model;
  const files = { modelPath: draftOf(modelPath), audioEncoderPath: draftOf(audioEncoderPath) };
  const entry = { ...model, ...files, cropRectsPath: rectsDraft };
  const problems = await findProblems(entry);
  if (problems.length > 0) throw new FarmError('model_unusable', problems.join('; '));
  const loaded = await loadAlone({ ...loadSettings(config), entry });
  try {
    const { network, provider, msPerFrame } = loaded;
    if (size !== undefined && size !== network.size) {
      throw new FarmError('model_unusable', `${model.modelPath} has S = ${network.size}: --size asks for ${size}`);
    }
    say('network', `${model.modelPath}, ${network.size}², ${provider.provider}, ${msPerFrame.toFixed(1)} ms/frame`);
    say('encoder', model.audioEncoderPath);
    if (previewDraft === undefined) return;
    const wanted = { audioPath: SAMPLE_SPEECH, seconds: PREVIEW_SECONDS, settings: config.render };
    const facts = await renderPreview(loaded, { ...wanted, outputPath: previewDraft }, signal);
    const speed = `${facts.msPerFrame.toFixed(1)} ms/frame in all`;
    say('preview', `${path.join(options.outDir, previewFile(options))}, ${facts.frames} frames, ${speed}`);
  } finally {
    await loaded.release();
  }
}

function previewFile({ modelId }: ImportOptions): string {
  return `${modelId}-preview.mp4`;
}

function describeRects(rects: readonly Rect[]): string {
  const sides = rects.map(({ x1, x2 }) => x2 - x1).sort((a, b) => a - b);
  const { x1, y1, x2, y2 } = rects[0] as Rect;
  return `${sides[0]} to ${sides.at(-1)} pixels wide, the first [${x1}, ${y1}, ${x2}, ${y2}]`;
}

async function main(): Promise<void> {
  const stop = new AbortController();
  const interrupt = () =>
    stop.abort(new FarmError('render_cancelled', 'The import was interrupted; nothing was changed'));
  // Each signal may come twice: from the terminal, and from the command that started this process.
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const options = readImportOptions(process.argv.slice(2));
  const made = await importAvatar(options, stop.signal);
  if (options.json) process.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
}

if (import.meta.main) main().catch(reportFailure);
