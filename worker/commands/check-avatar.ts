import path from 'node:path';
import { parseArgs } from 'node:util';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { type Config, loadConfig } from '../../shared/config/load.ts';
import { hasPictures, type ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { reportFailure } from '../../shared/process/report-failure.ts';
import { type Avatar, openAvatar, videosToExtract } from '../avatar/avatar.ts';
import { unseenBackdrop } from '../avatar/backdrop.ts';
import { numberOfPicture } from '../avatar/background-files.ts';
import { openIdlePictures } from '../avatar/idle-pictures.ts';
import { checkPictures } from '../avatar/picture-file.ts';
import type { Fact } from '../report/contract.ts';
import { fetchModel } from './fetch-model.ts';
import { sayOn, secondsOf } from './import-options.ts';
import { describeRects, findingsOf, sayLoaded, sayPreview, type ToldPictures, writeReport } from './tell-avatar.ts';
import { PREVIEW_SECONDS, SAMPLE_SPEECH, tryModel } from './try-model.ts';

/**
 * `node worker/commands/check-avatar.ts ID …`: looks at a model of the configuration as a GPU worker would, by the same
 * loader and the same pipeline, and tells what `avatar import` tells. `farm avatar check` runs it.
 */

export interface CheckOptions {
  readonly modelId: string;
  readonly config: Config;
  /** What the preview says. */
  readonly speech: string;
  readonly preview: boolean;
  /** Of it; undefined: as long as is good. */
  readonly seconds?: number | undefined;
  /** Where the page goes; undefined: nowhere. */
  readonly reportPath: string | undefined;
  readonly say: (subject: string, text: string) => void;
}

/**
 * @returns what `--json` prints.
 * @throws FarmError `model_unknown`; `model_unusable` with everything that is wrong; what the loader and the pipeline
 * throw; the reason of `signal` once it is aborted.
 */
export async function checkAvatar(options: CheckOptions, signal: AbortSignal) {
  const { modelId, config, reportPath } = options;
  const entry = config.models.get(modelId);
  if (entry === undefined) {
    const others = [...config.models.keys()].join(', ');
    throw new FarmError('model_unknown', `the configuration has no model "${modelId}": it has ${others || 'none'}`);
  }
  const facts: Fact[] = [];
  const say = (subject: string, text: string) => {
    facts.push({ subject, text });
    options.say(subject, text);
  };
  if (entry.remote.length > 0) {
    await fetchModel(entry, config, signal);
    say('files', `${entry.remote.length} from addresses, in ${config.modelCacheDir}`);
  }
  const pictures = hasPictures(entry) ? await lookAtPictures(entry, say, signal) : undefined;
  if (pictures === undefined) say('pictures', 'none: the model gives mouths alone, for pictures that a client sends');
  const wanted = options.preview && pictures !== undefined;
  const attempt = {
    preview: wanted
      ? { audioPath: options.speech, seconds: options.seconds ?? PREVIEW_SECONDS, outputPath: undefined }
      : undefined,
    loaded: (loaded: Parameters<typeof sayLoaded>[2]) => sayLoaded(say, entry, loaded),
  };
  const { networkSize, preview } = await tryModel(entry, config, attempt, signal);
  if (preview !== undefined) sayPreview(say, preview);
  const findings = findingsOf(pictures, networkSize, preview);
  for (const { text } of findings) options.say('warning', text);
  if (reportPath !== undefined) {
    const told = { modelId, made: 'check', facts, findings, pictures, preview } as const;
    const { dir, base } = path.parse(reportPath);
    await new LocalArtifacts(dir).publish(base, (draft) => writeReport(draft, told));
    options.say('report', reportPath);
  }
  const { rects, size } = pictures ?? { rects: [], size: { width: 0, height: 0 } };
  return {
    model_id: modelId,
    usable: true,
    pictures: rects.length,
    ...size,
    network_size: networkSize,
    quality: preview?.quality ?? null,
    report: reportPath ?? null,
    findings,
  };
}

/** Opens the avatar as a worker does, and decodes each of its pictures and masks. */
async function lookAtPictures(
  entry: ModelConfig,
  say: CheckOptions['say'],
  signal: AbortSignal,
): Promise<ToldPictures> {
  if (entry.problems.length > 0) throw new FarmError('model_unusable', entry.problems.join('; '));
  for (const video of await videosToExtract(entry)) say('video', `the pictures of ${video} are extracted now`);
  const avatar = await openAvatar(entry, signal);
  const places = [...Array(avatar.frameCount).keys()];
  const paths = places.map((place) => avatar.source(place).background);
  await checkPictures(paths, avatar.size, signal);
  say('pictures', `${paths.length} of ${avatar.size.width}×${avatar.size.height} in ${path.dirname(paths[0] ?? '')}`);
  const rects = places.map((place) => avatar.rect(place));
  say('rects', describeRects(rects, entry.cropRectsPath));
  await lookAtMasks(avatar, places, say, signal);
  await lookAtIdleClip(entry, avatar, say, signal);
  const numbers = paths.map((file, place) => numberOfPicture(file) ?? place);
  const unseen = unseenBackdrop(entry, avatar);
  const findings = unseen === undefined ? [] : [{ code: 'background_unseen', text: unseen, pictures: [] }];
  return { paths, numbers, rects, size: avatar.size, findings };
}

async function lookAtIdleClip(
  entry: ModelConfig,
  avatar: Avatar,
  say: CheckOptions['say'],
  signal: AbortSignal,
): Promise<void> {
  const idle = await openIdlePictures(entry, avatar, signal);
  if (!idle) return;
  const paths = Array.from({ length: idle.frameCount }, (_, index) => idle.source(index).background);
  await checkPictures(paths, avatar.size, signal);
  say('idle clip', `${paths.length} pictures in ${path.dirname(paths[0] ?? '')}`);
}

async function lookAtMasks(
  avatar: Avatar,
  places: readonly number[],
  say: CheckOptions['say'],
  signal: AbortSignal,
): Promise<void> {
  const masks = places.flatMap((place) => avatar.source(place).mask ?? []);
  if (masks.length === 0) return;
  await checkPictures(masks, avatar.size, signal);
  say('masks', `${masks.length} in ${path.dirname(masks[0] ?? '')}: red and white stay the picture's`);
}

const OPTIONS = {
  config: { type: 'string' },
  report: { type: 'string' },
  speech: { type: 'string' },
  seconds: { type: 'string' },
  'no-preview': { type: 'boolean', default: false },
  strict: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

async function main(): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(new FarmError('render_cancelled', 'The check was interrupted'));
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  const [modelId = ''] = positionals;
  const { json, strict } = values;
  const checked = await checkAvatar(
    {
      modelId,
      config: loadConfig(values.config),
      speech: path.resolve(values.speech ?? SAMPLE_SPEECH),
      preview: !values['no-preview'],
      seconds: secondsOf(values.seconds),
      reportPath: values.report === undefined ? undefined : path.resolve(values.report),
      say: sayOn(json ? process.stderr : process.stdout),
    },
    stop.signal,
  );
  const { length } = checked.findings;
  if (strict && length > 0) process.exitCode = 1;
  const ok = !(strict && length > 0);
  if (json) process.stdout.write(`${JSON.stringify({ ok, ...checked }, null, 2)}\n`);
  else process.stdout.write(`\n${modelId} can be used${length === 0 ? '' : `; ${length} thing(s) to look at`}.\n`);
}

if (import.meta.main) main().catch(reportFailure);
