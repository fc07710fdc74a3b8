import fluent from 'fluent-ffmpeg';
import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { toolEnvironment } from '../../shared/process/environment.ts';
import { confined, only } from '../../shared/tools/confined.ts';
import { failureOf, notStarted } from '../../shared/tools/tool-faults.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { type ToolLimits, ToolWatch } from '../../shared/tools/tool-watch.ts';

/** Starts ffmpeg and ffprobe. Modules outside of this folder build commands as data and pass them in. */

/** Options stand as ffmpeg takes them, one option or value an element. */
export interface FfmpegCommand {
  readonly inputs: readonly { source: string; options: readonly string[] }[];
  readonly outputOptions: readonly string[];
  readonly outputPath: string;
}

/**
 * Runs the command to its end. Aborting kills ffmpeg and rejects with the signal's reason; a failure rejects with
 * FarmError('encode_failed') with the last lines of ffmpeg's output, or with the fault of the machine.
 */
export async function runFfmpeg(command: FfmpegCommand, limits: ToolLimits): Promise<void> {
  limits.signal.throwIfAborted();
  using watch = new ToolWatch('ffmpeg', limits, command.outputPath);
  const done = Promise.withResolvers<void>();
  const run = newCommand(limits.timeoutMs);
  for (const { source, options } of command.inputs) {
    run.input(source).inputOptions(paired([...only('file'), ...options]));
  }
  run.outputOptions(paired(command.outputOptions)).output(command.outputPath);
  // A kill does nothing before ffmpeg was spawned, so an early abort is carried out on `start`.
  const kill = () => run.kill('SIGKILL');
  run.on('start', () => watch.stop.aborted && kill());
  run.on('progress', ({ frames, timemark, targetSize }) => watch.progress(`${frames} ${timemark} ${targetSize}`));
  run.on('end', () => done.resolve());
  run.on('error', (error: Error, _stdout: unknown, stderr: unknown) =>
    done.reject(ofFluent(error, String(stderr ?? ''))),
  );
  watch.stop.addEventListener('abort', kill, { once: true });
  run.run();
  await watch.orStopped(done.promise);
}

/** What a program has said, as fluent-ffmpeg keeps it. */
interface Said {
  get(): string;
}
type OnEnd = (error: Error | null, stdout?: Said, stderr?: Said) => void;
/** With the methods of its own that look at the program, find it and start it. */
type Fluent = Omit<ReturnType<typeof fluent>, 'availableEncoders'> & {
  availableEncoders(onFound: (error: null, encoders: object) => void): void;
  _checkCapabilities(onChecked: (error: null) => void): void;
  _spawnFfmpeg(words: string[], ...rest: unknown[]): void;
  _getFfmpegPath(onPath: (error: Error | null, path?: string) => void): void;
};

const NOTHING: Said = { get: () => '' };

/**
 * A command that runs within the limits, knows nothing of the farm's environment, and tells its end in every case. When the operating system does not start the
 * program, fluent-ffmpeg asks for what it said, and that throws where nobody can catch it.
 */
function newCommand(timeoutMs: number): Fluent {
  const run = fluent() as unknown as Fluent;
  const start = run._spawnFfmpeg.bind(run);
  const findFfmpeg = run._getFfmpegPath.bind(run);
  // It would have ffprobe look at the input, without our limits, only to tell percents of progress.
  run.ffprobe = () => {};
  // And it would ask ffmpeg twice what it can do, only to word differently what ffmpeg says itself.
  run._checkCapabilities = (onChecked) => onChecked(null);
  run.availableEncoders = (onFound: (error: null, encoders: object) => void) => onFound(null, {});
  run._spawnFfmpeg = (words, ...rest) => {
    const onEnd = rest.pop() as OnEnd;
    const options = typeof rest[0] === 'object' ? (rest.shift() as object) : {};
    run._getFfmpegPath = (onPath) =>
      findFfmpeg((error, path) => {
        if (!path) return onPath(error, path);
        const { command, args } = confined(path, words.splice(0), timeoutMs);
        words.push(...args);
        onPath(error, command);
      });
    start(words, { ...options, env: toolEnvironment() }, ...rest, ((error, stdout = NOTHING, stderr = NOTHING) =>
      onEnd(error, stdout, stderr)) satisfies OnEnd);
  };
  return run;
}

/** fluent-ffmpeg takes an option and its value as one string. */
function paired(options: readonly string[]): string[] {
  const pairs: string[] = [];
  for (const word of options) {
    if (word.startsWith('-') || pairs.length === 0) pairs.push(word);
    else pairs.push(`${pairs.pop()} ${word}`);
  }
  return pairs;
}

/** fluent-ffmpeg tells how the program ended in the text of its error only. */
function ofFluent(error: Error, said: string): FarmError {
  if (error.message === 'Cannot find ffmpeg')
    return new FarmError('dependency_missing', 'ffmpeg was not found on PATH');
  if ('syscall' in error) return notStarted('ffmpeg', error);
  const [, killedBy] = /was killed with signal (\w+)/.exec(error.message) ?? [];
  const [, exitCode] = /exited with code (\d+)/.exec(error.message) ?? [];
  return failureOf('ffmpeg', { exitCode: exitCode === undefined ? null : Number(exitCode), killedBy, said }, error);
}

export interface ProbedStream {
  /** Number of the stream in the file. */
  readonly index: number;
  readonly codecType: string;
  /** Name of the codec in ffmpeg's words, such as `aac`. */
  readonly codec: string;
  /** Seconds, or undefined where the container does not say. Only an estimate in files without an index. */
  readonly durationS: number | undefined;
  /** 0 for tracks without sound, or where the file does not say. */
  readonly sampleRateHz: number;
  readonly channels: number;
  /** Where the channels are, such as `5.1`; undefined where the file does not say. */
  readonly layout: string | undefined;
  /** True for the track that the file marks as the default. */
  readonly isDefault: boolean;
}

const probedStreamSchema = z.object({
  index: z.int(),
  codec_type: z.string().default('unknown'),
  codec_name: z.string().default('unknown'),
  duration: z.coerce.number().optional(),
  sample_rate: z.coerce.number().default(0),
  channels: z.int().default(0),
  channel_layout: z.string().optional(),
  disposition: z.object({ default: z.int() }).optional(),
});

const probeSchema = z.object({
  streams: z.array(probedStreamSchema),
  format: z.object({ duration: z.coerce.number().optional() }),
});

const PROBED =
  'stream=index,codec_type,codec_name,duration,sample_rate,channels,channel_layout:stream_disposition=default:format=duration';

const PROBE_TIMEOUT_MS = 30_000;
const NEVER = new AbortController().signal;

/**
 * What ffprobe finds in a file; FarmError('audio_unreadable') when it finds nothing it can read, or the fault of the
 * machine.
 */
export async function probe(
  path: string,
  options: readonly string[],
  signal: AbortSignal = NEVER,
): Promise<ProbedStream[]> {
  const shown = ['-v', 'error', '-of', 'json', '-show_entries', PROBED];
  const limits = { signal, timeoutMs: PROBE_TIMEOUT_MS };
  const found: Buffer[] = [];
  try {
    for await (const chunk of outputOf('ffprobe', [...shown, ...options, path], limits)) found.push(chunk);
  } catch (error) {
    throw isOfInput(error) ? unreadable(error) : error;
  }
  const { streams, format } = probeSchema.parse(JSON.parse(Buffer.concat(found).toString()));
  // The file lasts as long as its longest track, which says nothing of the others.
  const onlyTrackS = streams.length === 1 ? format.duration : undefined;
  return streams.map((stream) => ({
    index: stream.index,
    codecType: stream.codec_type,
    codec: stream.codec_name,
    durationS: stream.duration ?? onlyTrackS,
    sampleRateHz: stream.sample_rate,
    channels: stream.channels,
    layout: stream.channel_layout === 'unknown' ? undefined : stream.channel_layout,
    isDefault: stream.disposition?.default === 1,
  }));
}

function isOfInput(error: unknown): error is FarmError {
  return error instanceof FarmError && error.code === 'encode_failed';
}

function unreadable(cause: FarmError): FarmError {
  const reason = 'ffmpeg cannot read this file: it is in no sound or video format that is taken';
  return new FarmError('audio_unreadable', reason, { cause });
}
