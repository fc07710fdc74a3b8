import { open } from 'node:fs/promises';
import { copySamples, type Piece } from './copy-samples.ts';
import { boxesIn, boxOf, contentOf, numbersOf, UnusualMp4 } from './mp4-boxes.ts';
import { type Chunks, type Mp4Track, movieBox, movieTicksOf, readTrack, tableOf, trackBox } from './mp4-track.ts';

/**
 * Segments and sound put into one MP4, without a program: to start ffmpeg takes ten times as long as to copy a short
 * clip. The samples are those of the parts, byte for byte, and the index stands before them, so that a player can begin
 * before it has all. Whatever is unusual about a part is left to ffmpeg.
 */

/** Pictures and sound take turns in the file, each time for so long. */
const TURN_SECONDS = 0.5;
/** Boxes of a track of pictures that say something of each; any other might as well. */
const TABLES = new Set(['stsd', 'stts', 'stss', 'stsc', 'stsz', 'stco']);
/** Where the list of forms begins in its box, and where boxes do in the form of a picture. */
const [FORMS_AT, FORM_BOXES_AT] = [8, 78];
/** Beyond this, places in a file need 64 bits. */
const MOST_BYTES = 0xffffffff;
const HEADER_BYTES = 8;
const [PICTURES_ID, SOUND_ID] = [1, 2];

/**
 * Writes segments of H.264 and their sound as one MP4.
 * @param segmentPaths in their order, one or more.
 * @returns undefined when it is done. Where a part is not as the farm's own ffmpeg writes it: what is unusual about it, and
 * what was written is no video.
 * @throws the signal's reason; what the file system throws.
 */
export async function joinMp4(
  segmentPaths: readonly string[],
  soundPath: string,
  outputPath: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const segments: Mp4Track[] = [];
    for (const path of segmentPaths) {
      signal.throwIfAborted();
      segments.push(await readTrack(path, 'vide'));
    }
    const sound = await readTrack(soundPath, 'soun');
    const pictures = picturesOf(segments, sound);
    const pieces = piecesOf(pictures, sound);
    await using output = await open(outputPath, 'w');
    await output.writeFile(headOf(pictures, sound, pieces));
    await copySamples({ pictures: segments, sound: [sound] }, pieces, output, signal);
    return undefined;
  } catch (error) {
    // Numbers are read and written in boxes of any length. What has no code says that memory is short.
    const isUnusual = error instanceof UnusualMp4 || (error instanceof RangeError && 'code' in error);
    if (isUnusual) return error.message;
    throw error;
  }
}

/** All pictures, as one track. */
interface Pictures {
  readonly first: Mp4Track;
  /** Content of the box that says how they are encoded. */
  readonly form: Buffer;
  readonly sizes: Uint32Array;
  /** From each to the next one. */
  readonly ticks: number;
  readonly keys: readonly number[];
}

/** @throws UnusualMp4 unless the pictures of all segments have the same form and distance. */
function picturesOf(segments: readonly Mp4Track[], { movieTicksPerSecond }: Mp4Track): Pictures {
  const [first] = segments;
  if (!first) throw new UnusualMp4('no segment');
  const form = formOf(first);
  const ticks = first.spacings[0]?.ticks ?? 0;
  const keys: number[] = [];
  const sizes = new Uint32Array(segments.reduce((sum, segment) => sum + segment.sizes.length, 0));
  let count = 0;
  for (const segment of segments) {
    const { spacings } = segment;
    const isAlike =
      segment.ticksPerSecond === first.ticksPerSecond &&
      segment.movieTicksPerSecond === movieTicksPerSecond &&
      formOf(segment).equals(form);
    if (!isAlike) throw new UnusualMp4('segments of several forms');
    if (spacings.length !== 1 || spacings[0]?.ticks !== ticks || segment.playedFrom !== 0) {
      throw new UnusualMp4('pictures at other times');
    }
    for (const key of segment.keys ?? Array.from(segment.sizes, (_, picture) => picture + 1)) keys.push(count + key);
    sizes.set(segment.sizes, count);
    count += segment.sizes.length;
  }
  return { first, form, sizes, ticks, keys };
}

/** How the pictures of a segment are encoded, without the bit rate, which differs from segment to segment. */
function formOf({ trak }: Mp4Track): Buffer {
  const tables = contentOf(trak, 'mdia', 'minf', 'stbl');
  const other = boxesIn(tables).find(({ name }) => !TABLES.has(name));
  if (other) throw new UnusualMp4(`a box ${other.name}`);
  const forms = contentOf(tables, 'stsd');
  const [form, ...others] = boxesIn(forms.subarray(FORMS_AT));
  if (form?.name !== 'avc1' || others.length > 0) throw new UnusualMp4('another form of pictures');
  const kept = boxesIn(form.content.subarray(FORM_BOXES_AT)).filter(({ name }) => name !== 'btrt');
  const boxes = kept.map(({ name, content }) => boxOf(name, content));
  return Buffer.concat([forms.subarray(0, FORMS_AT), boxOf('avc1', form.content.subarray(0, FORM_BOXES_AT), ...boxes)]);
}

/** Turn for turn the pictures and the sound of the same time. */
function piecesOf({ first, sizes, ticks }: Pictures, sound: Mp4Track): Piece[] {
  const spacings = [{ count: sizes.length, ticks }];
  const pictures = byTurn('pictures', { sizes, spacings, ticksPerSecond: first.ticksPerSecond });
  const sounds = byTurn('sound', sound);
  const turns = Math.max(pictures.length, sounds.length);
  return Array.from({ length: turns }, (_, turn) => [pictures[turn], sounds[turn]])
    .flat()
    .filter((piece) => piece !== undefined);
}

/** What a track has in each turn; undefined where that is nothing. */
function byTurn(
  track: Piece['track'],
  { sizes, spacings, ticksPerSecond }: Pick<Mp4Track, 'sizes' | 'spacings' | 'ticksPerSecond'>,
): (Piece | undefined)[] {
  const pieces: { track: Piece['track']; samples: number; bytes: number }[] = [];
  let [time, sample] = [0, 0];
  if (spacings.reduce((sum, { count }) => sum + count, 0) !== sizes.length) {
    throw new UnusualMp4('samples without a time');
  }
  for (const { count, ticks } of spacings) {
    for (const last = sample + count; sample < last; sample++, time += ticks) {
      const turn = Math.floor(time / (TURN_SECONDS * ticksPerSecond));
      if (!(turn <= sizes.length)) throw new UnusualMp4('samples that are far apart');
      pieces[turn] ??= { track, samples: 0, bytes: 0 };
      pieces[turn].samples++;
      pieces[turn].bytes += sizes[sample] ?? 0;
    }
  }
  return pieces;
}

/** All that stands before the samples. @throws UnusualMp4 for a file of more than 4 GB. */
function headOf(pictures: Pictures, sound: Mp4Track, pieces: readonly Piece[]): Buffer {
  const kind = boxOf('ftyp', pictures.first.kind);
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  const refuseLongerThan = (most: number) => {
    if (bytes > most) throw new UnusualMp4('more than 4 GB');
  };
  refuseLongerThan(MOST_BYTES);
  const start = kind.length + indexOf(pictures, sound, pieces, 0).length + HEADER_BYTES;
  refuseLongerThan(MOST_BYTES - start);
  const header = boxOf('mdat');
  header.writeUInt32BE(HEADER_BYTES + bytes);
  return Buffer.concat([kind, indexOf(pictures, sound, pieces, start), header]);
}

/** @param start where the first piece lies in the file. Its own length does not depend on that. */
function indexOf(pictures: Pictures, sound: Mp4Track, pieces: readonly Piece[], start: number): Buffer {
  const { first, form, sizes, ticks, keys } = pictures;
  const own = sizes.length * ticks;
  const movie = Math.round((own * first.movieTicksPerSecond) / first.ticksPerSecond);
  const pictureTables = () =>
    Buffer.concat([
      boxOf('stsd', form),
      boxOf('stts', tableOf([[sizes.length, ticks]])),
      boxOf('stss', tableOf(keys.map((key) => [key]))),
      boxOf('stsz', numbersOf([0, 0, sizes.length]), numbersOf(sizes)),
    ]);
  const soundTables = (tables: Buffer) =>
    Buffer.concat(
      boxesIn(tables)
        .filter(({ name }) => name !== 'stsc' && name !== 'stco')
        .map(({ name, content }) => boxOf(name, content)),
    );
  return boxOf(
    'moov',
    movieBox(first, Math.max(movie, movieTicksOf(sound)), SOUND_ID + 1),
    trackBox(first, PICTURES_ID, chunksOf('pictures', pieces, start), pictureTables, { own, movie }),
    trackBox(sound, SOUND_ID, chunksOf('sound', pieces, start), soundTables),
  );
}

function chunksOf(track: Piece['track'], pieces: readonly Piece[], start: number): Chunks {
  const chunks = { samples: [] as number[], offsets: [] as number[] };
  let at = start;
  for (const piece of pieces) {
    if (piece.track === track) {
      chunks.samples.push(piece.samples);
      chunks.offsets.push(at);
    }
    at += piece.bytes;
  }
  return chunks;
}
