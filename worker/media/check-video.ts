import { FarmError } from '../../shared/errors/farm-error.ts';
import { progressNoter } from '../../shared/process/progress.ts';
import type { VideoOutput } from '../../shared/renders/outputs.ts';
import { USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { findCutOff } from './cut-off.ts';
import type { VideoForm } from './join-segments.ts';
import { SOUND_PACKET_S } from './soundtrack.ts';
import { packetsOf, type VideoPacket } from './video-packets.ts';

/** By how much a packet may be off its time: WebM counts in milliseconds, in which sound does not begin at a whole one. */
const SLACK_TICKS: Readonly<Record<VideoOutput, number>> = { mp4: 0, webm: 1 };

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
  /** The first packet whose bytes are not those of a picture. */
  damaged?: number;
}

interface TimedTrack {
  readonly run: PacketRun;
  ticksPerSecond: number;
}

/** When picture and sound of a video end, from its beginning. */
export interface VideoSeconds {
  readonly videoSeconds: number;
  readonly audioSeconds: number;
}

/**
 * Looks at every packet of a finished video: the file holds the bytes of all of them, the picture has its frames, the
 * packets of picture and sound follow each other at even distances, and both begin and end within a frame of each other.
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
  const missing = await findCutOff(videoPath);
  if (missing) throw new FarmError('encode_failed', `The finished video is not whole: ${missing}`);
  const { picture, sound } = await readPackets(videoPath, slack, signal);
  const { count, withAlpha, damaged } = picture.run;
  if (damaged !== undefined) {
    throw new FarmError(
      'encode_failed',
      `The finished video is damaged: picture ${damaged} has other bytes than its own`,
    );
  }
  const wrong =
    faultOf('picture', picture, frameSeconds, slack) ??
    faultOf('sound', sound, SOUND_PACKET_S[output], slack) ??
    (count === frameCount ? undefined : `it has ${count} of ${frameCount} pictures`) ??
    (withAlpha === (hasAlpha ? count : 0) ? undefined : `${withAlpha} of ${count} pictures have alpha`) ??
    differenceOf('begin', startOf(picture), startOf(sound), frameSeconds) ??
    differenceOf('end', endOf(picture), endOf(sound), frameSeconds);
  if (wrong) throw new FarmError('encode_failed', `The finished video is not in step: ${wrong}`);
  return { videoSeconds: endOf(picture), audioSeconds: endOf(sound) };
}

function faultOf(
  what: string,
  { run, ticksPerSecond }: TimedTrack,
  packetSeconds: number,
  slack: number,
): string | undefined {
  const { count, spacing, misplaced } = run;
  if (count === 0) return `it has no ${what}`;
  if (misplaced) {
    const [got, expected] = [misplaced.got, misplaced.expected].map((ticks) => (ticks / ticksPerSecond).toFixed(3));
    return `packet ${misplaced.packet} of the ${what} is at ${got} s, expected ${expected} s`;
  }
  const seconds = spacing / ticksPerSecond;
  if (count === 1 || Math.abs(seconds - packetSeconds) < slack / ticksPerSecond + 1e-6) return undefined;
  return `packets of the ${what} come every ${seconds} s, expected ${packetSeconds} s`;
}

const startOf = ({ run, ticksPerSecond }: TimedTrack): number => run.start / ticksPerSecond;
const endOf = ({ run, ticksPerSecond }: TimedTrack): number => run.end / ticksPerSecond;

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
  const noteProgress = progressNoter();
  const tracks = { video: noTrack(), audio: noTrack() };
  for await (const packet of packetsOf(path, signal)) {
    const track = tracks[packet.kind];
    track.ticksPerSecond = packet.ticksPerSecond;
    addPacket(track.run, packet, slack);
    noteProgress();
  }
  return { picture: tracks.video, sound: tracks.audio };
}

const noTrack = (): TimedTrack => ({
  run: { count: 0, start: 0, spacing: 0, last: 0, end: 0, withAlpha: 0 },
  ticksPerSecond: 1,
});

function addPacket(run: PacketRun, { pts, duration, hasAlpha, isWhole }: VideoPacket, slack: number): void {
  if (run.count === 0) run.start = pts;
  if (run.count === 1) run.spacing = pts - run.last;
  const expected = run.count === 0 ? pts : run.last + run.spacing;
  // A time stamp that is missing reads as NaN, and is near nothing.
  if (!(Math.abs(pts - expected) <= slack)) run.misplaced ??= { packet: run.count, expected, got: pts };
  if (!isWhole) run.damaged ??= run.count;
  run.count++;
  if (hasAlpha) run.withAlpha++;
  run.last = pts;
  run.end = pts + (duration || run.spacing);
}
