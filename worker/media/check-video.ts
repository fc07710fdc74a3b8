import { FarmError } from '../../shared/errors.ts';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { outputOf } from './ffmpeg.ts';

const CHECK_TIMEOUT_MS = 10 * MINUTE_MS;

/** One track's packets, in ticks of its own clock. */
interface PacketRun {
  count: number;
  /** Time stamp of the first packet. */
  start: number;
  /** Time stamp that the next packet must have. */
  next: number;
  /** The first packet that does not begin where the one before it ends. */
  gap?: { readonly packet: number; readonly expected: number; readonly got: number };
}

/**
 * Looks at every packet of a finished video: the picture has its frames, sound and picture have no gap, begin together
 * and end within a frame of each other. FarmError('encode_failed') says what is wrong.
 */
export async function checkInStep(videoPath: string, frameCount: number, signal: AbortSignal): Promise<void> {
  const { picture, sound } = await readPackets(videoPath, signal);
  const wrong =
    faultOf('picture', picture.run) ??
    faultOf('sound', sound.run) ??
    (picture.run.count === frameCount ? undefined : `it has ${picture.run.count} of ${frameCount} pictures`) ??
    differenceOf('begin', startOf(picture), startOf(sound)) ??
    differenceOf('end', frameCount / FRAMES_PER_SECOND, endOf(picture)) ??
    differenceOf('end', endOf(picture), endOf(sound));
  if (wrong) throw new FarmError('encode_failed', `The finished video is not in step: ${wrong}`);
}

interface TimedTrack {
  readonly run: PacketRun;
  readonly secondsPerTick: number;
}

const startOf = ({ run, secondsPerTick }: TimedTrack) => run.start * secondsPerTick;
const endOf = ({ run, secondsPerTick }: TimedTrack) => run.next * secondsPerTick;

function faultOf(what: string, { count, gap }: PacketRun): string | undefined {
  if (count === 0) return `it has no ${what}`;
  return gap && `packet ${gap.packet} of the ${what} is at ${gap.got}, expected ${gap.expected}`;
}

function differenceOf(what: string, aSeconds: number, bSeconds: number): string | undefined {
  if (Math.abs(aSeconds - bSeconds) <= 1 / FRAMES_PER_SECOND + 1e-6) return undefined;
  return `picture and sound ${what} at ${aSeconds.toFixed(3)} s and ${bSeconds.toFixed(3)} s`;
}

async function readPackets(path: string, signal: AbortSignal): Promise<{ picture: TimedTrack; sound: TimedTrack }> {
  const runs = new Map<string, PacketRun>();
  const tracks = new Map<string, TimedTrack>();
  for await (const line of linesOf(path, signal)) {
    const [section, ...fields] = line.split(',');
    if (section === 'packet') {
      const [index = '', pts, duration] = fields;
      addPacket(runs, index, Number(pts), Number(duration));
    } else if (section === 'stream') {
      const [index = '', kind = '', timeBase = ''] = fields;
      const [numerator = 0, denominator = 1] = timeBase.split('/').map(Number);
      tracks.set(kind, { run: runs.get(index) ?? noPackets(), secondsPerTick: numerator / denominator });
    }
  }
  const none = { run: noPackets(), secondsPerTick: 0 };
  return { picture: tracks.get('video') ?? none, sound: tracks.get('audio') ?? none };
}

const noPackets = (): PacketRun => ({ count: 0, start: 0, next: 0 });

function addPacket(runs: Map<string, PacketRun>, index: string, pts: number, duration: number): void {
  const run = runs.get(index);
  if (!run) {
    runs.set(index, { count: 1, start: pts, next: pts + duration });
    return;
  }
  // A time stamp that is missing reads as NaN, and equals nothing.
  if (pts !== run.next) run.gap ??= { packet: run.count, expected: run.next, got: pts };
  run.count++;
  run.next = pts + duration;
}

/** Packets first, then the tracks that they belong to. */
async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const entries = 'packet=stream_index,pts,duration:stream=index,codec_type,time_base';
  const args = ['-v', 'error', '-of', 'csv', '-show_entries', entries, path];
  let rest = '';
  for await (const chunk of outputOf('ffprobe', args, { signal, timeoutMs: CHECK_TIMEOUT_MS })) {
    const lines = `${rest}${chunk.toString('latin1')}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
