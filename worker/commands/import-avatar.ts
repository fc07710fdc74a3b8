import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { addModel, hasModel, type NewModel } from '../../shared/config/add-model.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { reportFailure } from '../../shared/process/report-failure.ts';
import type { Quality } from '../../shared/views/quality-view.ts';
import { readCropRects } from '../avatar/crop-rects.ts';
import type { Finding } from '../avatar/finding.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { Rect } from '../pipeline/contract.ts';
import type { Fact } from '../report/contract.ts';
import { keepOtherNetworks, type NewNetwork, publishNetworks } from './import-networks.ts';
import { type ImportOptions, readImportOptions } from './import-options.ts';
import { checkMasks, findParts, type ImportPictures, makeFolder, readyPictures } from './import-parts.ts';
import { describeRects, findingsOf, sayLoaded, sayPreview, writeReport } from './tell-avatar.ts';
import { PREVIEW_SECONDS, SAMPLE_SPEECH, type Trial, tryModel } from './try-model.ts';

/**
 * `node worker/commands/import-avatar.ts DIR …`: makes a model of the farm from a dataset folder. `farm avatar import`
 * runs it.
 */

const RECTS_FILE = 'crop_rects.json';

/**
 * Makes a model of a dataset folder. Crop rects, preview, report and configuration appear together at the end, or not at
 * all.
 * @returns what `--json` prints.
 * @throws FarmError for what cannot be used or read, and what is there already; the reason of `signal` when it is
 * aborted. Nothing is changed then.
 */
export async function importAvatar(asked: ImportOptions, signal: AbortSignal): Promise<object> {
  const facts: Fact[] = [];
  const options = { ...asked, say: noting(asked.say, facts) };
  const { modelId, configPath, outDir, environment, say } = options;
  if (!options.replace && (await hasModel(configPath, modelId, environment))) {
    throw new FarmError('model_exists', `${configPath} has a model "${modelId}" already`);
  }
  const { dataset, networks: found } = await findParts(options);
  const { notes, made, hears, ...networks } = found;
  await using undo = new AsyncDisposableStack();
  for (const needed of [outDir, path.dirname(configPath)]) await makeFolder(needed, undo);
  const pictures = await readyPictures({ dataset, hears }, options, undo, signal);
  const { rects, size, backgroundDir } = pictures;
  say('pictures', `${rects.length} of ${size.width}×${size.height} in ${backgroundDir}`);
  say('rects', describeRects(rects, dataset.rects.path));
  const masksDir = await checkMasks(dataset, options, pictures, signal);
  for (const { words } of made) say('weights', words);
  for (const note of notes) say('note', note);
  const cropRectsPath = path.join(outDir, RECTS_FILE);
  if (!options.replace) await keepOtherRects(cropRectsPath, rects);
  if (!options.replace) await keepOtherNetworks(made);
  const model = { modelId, backgroundDir, cropRectsPath, masksDir, ...networks };
  const seen = await publish(model, { pictures, made, facts }, options, signal);
  undo.move();
  say('config', `models.${modelId} in ${configPath}`);
  const preview = options.preview ? path.join(outDir, previewFile(options)) : null;
  const report = options.report ? path.join(outDir, reportFile(options)) : null;
  const files = { config: configPath, crop_rects: cropRectsPath, preview, report };
  return { model_id: modelId, ...files, pictures: rects.length, ...seen };
}

interface Parts {
  readonly pictures: ImportPictures;
  readonly made: readonly NewNetwork[];
  /** What was said of them so far. */
  readonly facts: readonly Fact[];
}

/**
 * Preview, report, crop rects, new networks and configuration are drafts until everything has been tried; then they are
 * renamed, in this order.
 */
async function publish(
  model: NewModel,
  { pictures, made, facts }: Parts,
  options: ImportOptions,
  signal: AbortSignal,
): Promise<{ quality: Quality | null; findings: readonly Finding[] }> {
  const { configPath, replace, environment, modelId } = options;
  const output = new LocalArtifacts(options.outDir);
  const orNot = async <T>(wanted: boolean, name: string, use: (draft?: string) => Promise<T>) =>
    await (wanted ? output.publish(name, use) : use());
  let quality: Quality | null = null;
  let findings: readonly Finding[] = [];
  await addModel({ configPath, model, replace, environment }, async (config, refuseIfChanged) => {
    await publishNetworks(output, made, async (networks) => {
      await output.publish(RECTS_FILE, async (rectsDraft) => {
        await writeFile(rectsDraft, rectsJson(pictures.rects));
        await orNot(options.report, reportFile(options), async (reportDraft) => {
          await orNot(options.preview, previewFile(options), async (previewDraft) => {
            const drafts = { rectsDraft, previewDraft, networks };
            const { networkSize, preview } = await tryDrafts(config, model, options, drafts, signal);
            findings = findingsOf(pictures, networkSize, preview);
            for (const { text } of findings) options.say('warning', text);
            quality = preview?.quality ?? null;
            const film = preview && { ...preview, video: previewFile(options) };
            const told = { modelId, made: 'import', facts, findings, pictures, preview: film } as const;
            if (reportDraft !== undefined) await writeReport(reportDraft, told);
            signal.throwIfAborted();
            await refuseIfChanged();
          });
        });
      });
    });
  });
  if (options.report) options.say('report', path.join(options.outDir, reportFile(options)));
  return { quality, findings };
}

interface Drafts {
  readonly rectsDraft: string;
  readonly previewDraft: string | undefined;
  /** Of new networks, by the paths that these will have. */
  readonly networks: ReadonlyMap<string, string>;
}

/** Loads the model as a GPU worker would, with files that are drafts yet, and renders the preview with it. */
async function tryDrafts(
  config: Config,
  given: NewModel,
  options: ImportOptions,
  { rectsDraft, previewDraft, networks }: Drafts,
  signal: AbortSignal,
): Promise<Trial> {
  const { modelId, size, say } = options;
  const model = config.models.get(modelId);
  if (model === undefined) throw new FarmError('internal', `the new configuration has no model ${modelId}`);
  const draftOf = (file: string) => networks.get(file) ?? file;
  const { modelPath, audioEncoderPath } = model;
  const files = { modelPath: draftOf(modelPath), audioEncoderPath: draftOf(audioEncoderPath) };
  const entry = { ...model, ...files, cropRectsPath: rectsDraft };
  const { seconds = PREVIEW_SECONDS } = options;
  const preview =
    previewDraft === undefined ? undefined : { audioPath: SAMPLE_SPEECH, seconds, outputPath: previewDraft };
  const whyEncoder = given.audioEncoderPath === undefined ? ', the one of the configuration' : '';
  const loaded = (it: LoadedModel) => sayLoaded(say, model, it, whyEncoder);
  const attempt = { preview, size, loaded };
  const trial = await tryModel(entry, config, attempt, signal);
  if (trial.preview !== undefined) sayPreview(say, trial.preview, path.join(options.outDir, previewFile(options)));
  return trial;
}

/** Says, and keeps what was said for the report. */
function noting(say: ImportOptions['say'], facts: Fact[]): ImportOptions['say'] {
  return (subject, text) => {
    if (subject !== 'warning') facts.push({ subject, text });
    say(subject, text);
  };
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

function previewFile({ modelId }: ImportOptions): string {
  return `${modelId}-preview.mp4`;
}

function reportFile({ modelId }: ImportOptions): string {
  return `${modelId}-report.html`;
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
