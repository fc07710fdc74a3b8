/** What the command line of `farm avatar import` asks for. */

import path from 'node:path';
import { parseArgs } from 'node:util';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { MODEL_ID } from '../../shared/limits.ts';
import { type Environment, readEnvironment } from '../../shared/process/environment.ts';
import { AUDIO_KINDS, type AudioKind } from '../../shared/sound/audio-kinds.ts';

export interface ImportOptions {
  readonly folder: string;
  readonly modelId: string;
  readonly configPath: string;
  readonly modelPath: string | undefined;
  /** ONNX, or a checkpoint. */
  readonly audioEncoderPath: string | undefined;
  /** A file, a folder of them, or the name of one in the dataset folder. */
  readonly checkpoint: string | undefined;
  /** What a network hears whose checkpoint does not tell. */
  readonly audio: AudioKind | undefined;
  /** What S must be; read from the network when absent. */
  readonly size: number | undefined;
  readonly outDir: string;
  readonly preview: boolean;
  /** Of the preview; undefined: as long as is good. */
  readonly seconds: number | undefined;
  /** Whether the masks of the dataset are used. */
  readonly masks: boolean;
  /** Whether the page about the avatar is written. */
  readonly report: boolean;
  /** Refuses whatever of the folder would be filled from neighbours or left out. */
  readonly strict: boolean;
  readonly replace: boolean;
  readonly json: boolean;
  readonly environment: Environment;
  /** Tells what was found: on standard error where a program reads the result. */
  readonly say: (subject: string, text: string) => void;
}

/** A preview is no render. */
const MOST_SECONDS = 60;

const OPTIONS = {
  id: { type: 'string' },
  config: { type: 'string' },
  model: { type: 'string' },
  'audio-encoder': { type: 'string' },
  checkpoint: { type: 'string' },
  audio: { type: 'string' },
  size: { type: 'string' },
  out: { type: 'string' },
  seconds: { type: 'string' },
  'no-preview': { type: 'boolean', default: false },
  'no-masks': { type: 'boolean', default: false },
  'no-report': { type: 'boolean', default: false },
  strict: { type: 'boolean', default: false },
  force: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

/**
 * @param args command line after the entry's name.
 * @throws FarmError `request_invalid` for a name that cannot be a model id, and a kind of sound that is not known.
 */
export function readImportOptions(args: string[]): ImportOptions {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: OPTIONS,
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
    checkpoint: values.checkpoint,
    audio: audioKind(values.audio),
    size: values.size === undefined ? undefined : Number(values.size),
    outDir: path.resolve(values.out ?? folder),
    preview: !values['no-preview'],
    seconds: secondsOf(values.seconds),
    masks: !values['no-masks'],
    report: !values['no-report'],
    strict: values.strict,
    replace: values.force,
    json: values.json,
    environment,
    say: sayOn(values.json ? process.stderr : process.stdout),
  };
}

/** @throws FarmError `request_invalid` for what is no number of seconds of a preview. */
export function secondsOf(value: string | undefined): number | undefined {
  const seconds = value === undefined ? undefined : Number(value);
  if (seconds === undefined || (seconds >= 1 && seconds <= MOST_SECONDS)) return seconds;
  throw new FarmError('request_invalid', `--seconds is "${value}": expected 1 to ${MOST_SECONDS}`);
}

/** A line for each thing that was found. */
export function sayOn(stream: NodeJS.WriteStream): ImportOptions['say'] {
  return (subject, text) => {
    stream.write(`${subject.padEnd(10)}${text}\n`);
  };
}

function audioKind(value: string | undefined): AudioKind | undefined {
  const kind = AUDIO_KINDS.find((one) => one === value);
  if (value === undefined || kind !== undefined) return kind;
  throw new FarmError('request_invalid', `--audio is "${value}": expected ${AUDIO_KINDS.join(', ')}`);
}
