import type { EncodedPacket, EncodedPacketSink, InputTrack } from 'mediabunny';
import { FarmError } from '../../shared/errors/farm-error.ts';

/** The packets of a finished video as players find them. Another hand reads here than has written the file. */

export interface VideoPacket {
  readonly kind: 'video' | 'audio';
  /** Of the packet's own track, in whose ticks the times below are counted. */
  readonly ticksPerSecond: number;
  readonly pts: number;
  /** 0 where the file does not say. */
  readonly duration: number;
  /** Whether it brings alpha along. */
  readonly hasAlpha: boolean;
  /** False for a picture of H.264 whose parts do not fill it: its bytes are not what was written for it. */
  readonly isWhole: boolean;
}

/** Bytes of the file that are held at a time. */
const CACHE_BYTES = 1024 * 1024;

/**
 * Yields the packets of an MP4 or WebM in the order of their times, data included: where the bytes of one are not in the
 * file, those of its track end. Ends at once with a file of another format.
 * @throws the signal's reason; what the file system throws; FarmError `encode_failed` where the file cannot be read.
 */
export async function* packetsOf(path: string, signal: AbortSignal): AsyncGenerator<VideoPacket> {
  // Loaded by the first video: it takes as long as a start of ffprobe, once.
  const { EncodedPacketSink, FilePathSource, Input, MP4, WEBM } = await import('mediabunny');
  const source = new FilePathSource(path, { maxCacheSize: CACHE_BYTES });
  using input = new Input({ source, formats: [MP4, WEBM] });
  try {
    const runs: TrackRun[] = [];
    for (const track of (await input.canRead()) ? await input.getTracks() : []) {
      const run = await runOf(track, new EncodedPacketSink(track));
      if (run) runs.push(run);
    }
    for (let run = earliest(runs); run?.next; run = earliest(runs)) {
      signal.throwIfAborted();
      yield toPacket(run, run.next);
      run.next = (await run.sink.getNextPacket(run.next)) ?? undefined;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error) || 'code' in error) throw error;
    throw new FarmError('encode_failed', `The finished video cannot be read: ${error.message}`, { cause: error });
  }
}

/** A track that is being read. */
interface TrackRun {
  readonly kind: 'video' | 'audio';
  readonly ticksPerSecond: number;
  /** Bytes of the length before each part of a picture of H.264; 0 for what has no such parts. */
  readonly lengthBytes: number;
  readonly sink: EncodedPacketSink;
  next: EncodedPacket | undefined;
}

/** Undefined for a track that is neither picture nor sound. */
async function runOf(track: InputTrack, sink: EncodedPacketSink): Promise<TrackRun | undefined> {
  const isPicture = track.isVideoTrack();
  if (!isPicture && !track.isAudioTrack()) return undefined;
  const ticksPerSecond = await track.getTimeResolution();
  const config = isPicture && (await track.getCodec()) === 'avc' ? await track.getDecoderConfig() : null;
  const lengthBytes = config ? lengthBytesIn(config.description) : 0;
  return {
    ...{ kind: isPicture ? 'video' : 'audio', ticksPerSecond, lengthBytes },
    ...{ sink, next: (await sink.getFirstPacket()) ?? undefined },
  };
}

function earliest(runs: readonly TrackRun[]): TrackRun | undefined {
  let found: TrackRun | undefined;
  for (const run of runs) {
    if (run.next && (found?.next === undefined || run.next.timestamp < found.next.timestamp)) found = run;
  }
  return found;
}

function toPacket({ kind, ticksPerSecond, lengthBytes }: TrackRun, packet: EncodedPacket): VideoPacket {
  return {
    ...{ kind, ticksPerSecond },
    pts: Math.round(packet.timestamp * ticksPerSecond),
    duration: Math.round(packet.duration * ticksPerSecond),
    hasAlpha: packet.sideData.alpha !== undefined,
    isWhole: lengthBytes === 0 || partsFill(packet.data, lengthBytes),
  };
}

/** As the record of the decoder's settings, a box `avcC`, says it in two bits. */
function lengthBytesIn(description: unknown): number {
  if (!(description instanceof Uint8Array)) return 0;
  return ((description[4] ?? 0) & 3) + 1;
}

/** Whether parts, each behind its length, follow each other to the end of the picture, and there is one at least. */
function partsFill(picture: Uint8Array, lengthBytes: number): boolean {
  let at = 0;
  while (at + lengthBytes < picture.length) {
    let length = 0;
    for (let place = 0; place < lengthBytes; place++) length = length * 256 + (picture[at + place] as number);
    if (length === 0) return false;
    at += lengthBytes + length;
  }
  return at === picture.length && at > 0;
}
