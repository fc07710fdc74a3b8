import { FarmError } from '../../shared/errors/farm-error.ts';
import type { VideoOutput } from '../../shared/renders/outputs.ts';
import { USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import type { VideoForm } from './join-segments.ts';
import { SOUND_PACKET_S } from './soundtrack.ts';

/** By how much a packet may be off its time: WebM counts in milliseconds, in which sound does not begin at a whole one. */
const SLACK_TICKS: Readonly<Record<VideoOutput, number>> = { mp4: 0, webm: 1 };
/** As ffprobe names the alpha of a packet. */
const ALPHA = 'Matroska BlockAdditional';
const CHECK_TIMEOUT_MS = 10 * MINUTE_MS;

/** One track's packets, in ticks of its own clock. */
interface PacketRun {
  count: number;
  /** Time stamp of the first packet. */
  start: number;
  /** From the first time stamp to the second one. */
  spacing: number;
  /** Time stamp of the last packet, and where that ends. */
  last: number;
  end: number;
  /** Packets that bring alpha along. */
  withAlpha: number;
  /** The first packet that is not at its expected time. */
  misplaced?: { readonly packet: number; readonly expected: number; readonly got: number };
}

interface TimedTrack {
  readonly run: PacketRun;
  readonly secondsPerTick: number;
  /** As the file says. */
  readonly seconds: number;
}

/** Durations of picture and sound as a file says them. */
export interface VideoSeconds {
  readonly videoSeconds: number;
  readonly audioSeconds: number;
}

/**
 * Looks at every packet of a finished video: the picture has its frames, the packets of picture and sound follow each
 * other at even distances, and both begin and end within a frame of each other.
 * Where the video has alpha, each of its pictures must bring its own.
 * @throws FarmError `encode_failed`, which says what is wrong, or the fault of the machine.
 */
export async function checkInStep(
  videoPath: string,
  frameCount: number,
  signal: AbortSignal,
  { output, hasAlpha, frameRate = USUAL_FRAME_RATE }: VideoForm = { output: 'mp4', hasAlpha: false },
): Promise<VideoSeconds> {
  const slack = SLACK_TICKS[output];
  const frameSeconds = 1 / frameRate;
  const { picture, sound } = await readPackets(videoPath, slack, signal);
  const { count, withAlpha } = picture.run;
  const wrong =
    faultOf('picture', picture, frameSeconds, slack) ??
    faultOf('sound', sound, SOUND_PACKET_S[output], slack) ??
    (count === frameCount ? undefined : `it has ${count} of ${frameCount} pictures`) ??
    (withAlpha === (hasAlpha ? count : 0) ? undefined : `${withAlpha} of ${count} pictures have alpha`) ??
    differenceOf('begin', startOf(picture), startOf(sound), frameSeconds) ??
    differenceOf('end', endOf(picture), endOf(sound), frameSeconds);
  if (wrong) throw new FarmError('encode_failed', `The finished video is not in step: ${wrong}`);
  return { videoSeconds: picture.seconds, audioSeconds: sound.seconds };
}

function faultOf(
  what: string,
  { run, secondsPerTick }: TimedTrack,
  packetSeconds: number,
  slack: number,
): string | undefined {
  const { count, spacing, misplaced } = run;
  if (count === 0) return `it has no ${what}`;
  if (misplaced) {
    const [got, expected] = [misplaced.got, misplaced.expected].map((ticks) => (ticks * secondsPerTick).toFixed(3));
    return `packet ${misplaced.packet} of the ${what} is at ${got} s, expected ${expected} s`;
  }
  const seconds = spacing * secondsPerTick;
  if (count === 1 || Math.abs(seconds - packetSeconds) < slack * secondsPerTick + 1e-6) return undefined;
  return `packets of the ${what} come every ${seconds} s, expected ${packetSeconds} s`;
}

const startOf = ({ run, secondsPerTick }: TimedTrack): number => run.start * secondsPerTick;
const endOf = ({ run, secondsPerTick }: TimedTrack): number => run.end * secondsPerTick;

function differenceOf(
  what: string,
  pictureSeconds: number,
  soundSeconds: number,
  frameSeconds: number,
): string | undefined {
  if (Math.abs(pictureSeconds - soundSeconds) <= frameSeconds + 1e-6) return undefined;
  return `picture and sound ${what} at ${pictureSeconds.toFixed(3)} s and ${soundSeconds.toFixed(3)} s`;
}

async function readPackets(
  path: string,
  slack: number,
  signal: AbortSignal,
): Promise<{ picture: TimedTrack; sound: TimedTrack }> {
  const runs = new Map<string, PacketRun>();
  const tracks = new Map<string, TimedTrack>();
  for await (const line of linesOf(path, signal)) {
    const [section, ...fields] = line.split(',');
    if (section === 'packet') {
      const [index = '', pts, duration] = fields;
      const packet = { pts: Number(pts), duration: Number(duration), hasAlpha: fields.includes(ALPHA) };
      addPacket(runs, index, packet, slack);
    } else if (section === 'stream') {
      const [index = '', kind = '', timeBase = '', duration] = fields;
      const [numerator = 0, denominator = 1] = timeBase.split('/').map(Number);
      const run = runs.get(index) ?? noPackets();
      const secondsPerTick = numerator / denominator;
      // WebM says it of the whole file only.
      const seconds = duration === 'N/A' ? (run.end - run.start) * secondsPerTick : Number(duration);
      tracks.set(kind, { run, secondsPerTick, seconds });
    }
  }
  const none = { run: noPackets(), secondsPerTick: 0, seconds: 0 };
  return { picture: tracks.get('video') ?? none, sound: tracks.get('audio') ?? none };
}

const noPackets = (): PacketRun => ({ count: 0, start: 0, spacing: 0, last: 0, end: 0, withAlpha: 0 });

function addPacket(
  runs: Map<string, PacketRun>,
  index: string,
  { pts, duration, hasAlpha }: { readonly pts: number; readonly duration: number; readonly hasAlpha: boolean },
  slack: number,
): void {
  const run = runs.get(index) ?? { ...noPackets(), start: pts };
  runs.set(index, run);
  if (run.count === 1) run.spacing = pts - run.last;
  const expected = run.count === 0 ? pts : run.last + run.spacing;
  // A time stamp that is missing reads as NaN, and is near nothing.
  if (!(Math.abs(pts - expected) <= slack)) run.misplaced ??= { packet: run.count, expected, got: pts };
  run.count++;
  if (hasAlpha) run.withAlpha++;
  run.last = pts;
  run.end = pts + duration;
}

/** Packets first, then the tracks that they belong to. */
async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<string> {
  const entries =
    'packet=stream_index,pts,duration:packet_side_data=side_data_type:stream=index,codec_type,time_base,duration';
  const args = ['-v', 'error', '-of', 'csv', '-show_entries', entries, path];
  let rest = '';
  for await (const chunk of outputOf('ffprobe', args, { signal, timeoutMs: CHECK_TIMEOUT_MS })) {
    const lines = `${rest}${chunk.toString('latin1')}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
