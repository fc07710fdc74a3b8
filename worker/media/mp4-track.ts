import { open } from 'node:fs/promises';
import { boxesIn, boxOf, contentOf, numbersOf, readIndex, UnusualMp4, withNumbers } from './mp4-boxes.ts';

/** The only track of an MP4, as the farm's ffmpeg writes a segment or the sound of a video. */
export interface Mp4Track {
  readonly path: string;
  /** Contents of the file's `ftyp`, `mvhd` and `trak`. */
  readonly kind: Buffer;
  readonly movie: Buffer;
  readonly trak: Buffer;
  /** Of the times in `movie`, and of the edits. */
  readonly movieTicksPerSecond: number;
  /** Of the times of samples. */
  readonly ticksPerSecond: number;
  /** At which tick of the samples players begin. */
  readonly playedFrom: number;
  /** Where the first sample lies in the file; the others follow without a gap. */
  readonly start: number;
  /** Bytes of each sample: a picture, or a packet of sound. */
  readonly sizes: Uint32Array;
  /** Ticks from each sample to the next one, as runs. */
  readonly spacings: readonly { readonly count: number; readonly ticks: number }[];
  /** Numbers of the samples that a player can begin with, from 1; undefined when all are. */
  readonly keys: readonly number[] | undefined;
}

/** Where numbers lie in the contents of boxes, in version 0 of these. */
const AT = {
  tkhd: { id: 12, duration: 20 },
  mdhd: { ticksPerSecond: 12, duration: 16 },
  mvhd: { ticksPerSecond: 12, duration: 16, nextId: 96 },
  elst: { count: 4, duration: 8, start: 12 },
} as const;
const CONTAINERS = new Set(['edts', 'mdia', 'minf']);

/** @throws UnusualMp4; what the file system throws. */
export async function readTrack(path: string, handler: 'vide' | 'soun'): Promise<Mp4Track> {
  await using file = await open(path);
  const { kind, index, fileBytes } = await readIndex(file);
  if (boxesIn(index).some(({ name }) => name === 'mvex')) throw new UnusualMp4('fragments');
  const [movie, trak] = [versionZero(contentOf(index, 'mvhd')), contentOf(index, 'trak')];
  const media = contentOf(trak, 'mdia');
  if (contentOf(media, 'hdlr').toString('latin1', 8, 12) !== handler) throw new UnusualMp4(`no track of ${handler}`);
  const tables = contentOf(media, 'minf', 'stbl');
  const sizes = sizesIn(contentOf(tables, 'stsz'), fileBytes);
  const keys = boxesIn(tables).some(({ name }) => name === 'stss') ? rowsOf(contentOf(tables, 'stss'), 1) : undefined;
  return {
    ...{ path, kind, movie, trak, sizes },
    movieTicksPerSecond: movie.readUInt32BE(AT.mvhd.ticksPerSecond),
    ticksPerSecond: versionZero(contentOf(media, 'mdhd')).readUInt32BE(AT.mdhd.ticksPerSecond),
    playedFrom: editedStart(trak),
    start: startOf(tables, sizes),
    spacings: rowsOf(contentOf(tables, 'stts'), 2).map(([count = 0, ticks = 0]) => ({ count, ticks })),
    keys: keys?.map(([number = 0]) => number),
  };
}

/** Where the samples of a track come to lie, in pieces that follow each other in the file. */
export interface Chunks {
  readonly samples: readonly number[];
  readonly offsets: readonly number[];
}

/**
 * The box of a track in another file.
 * @param samples made of its tables but those of the chunks.
 * @param ticks its length: of its own clock, and of the movie's; absent: as it is.
 */
export function trackBox(
  { trak }: Pick<Mp4Track, 'trak'>,
  id: number,
  chunks: Chunks,
  samples: (tables: Buffer) => Buffer,
  ticks?: { readonly own: number; readonly movie: number },
): Buffer {
  const changes: Record<string, (content: Buffer) => Buffer> = {
    tkhd: (content) => withNumbers(content, { [AT.tkhd.id]: id, ...(ticks && { [AT.tkhd.duration]: ticks.movie }) }),
    ...(ticks && { mdhd: (content) => withNumbers(content, { [AT.mdhd.duration]: ticks.own }) }),
    ...(ticks && { elst: (content) => withNumbers(content, { [AT.elst.duration]: ticks.movie }) }),
    stbl: (tables) => Buffer.concat([samples(tables), chunkBoxes(chunks)]),
  };
  const changed = (content: Buffer): Buffer =>
    Buffer.concat(boxesIn(content).map((box) => boxOf(box.name, inside(box.name, box.content))));
  const inside = (name: string, content: Buffer) =>
    changes[name]?.(content) ?? (CONTAINERS.has(name) ? changed(content) : content);
  return boxOf('trak', changed(trak));
}

/** The box of a movie of other tracks. @param ticks its length. */
export function movieBox({ movie }: Pick<Mp4Track, 'movie'>, ticks: number, nextId: number): Buffer {
  return boxOf('mvhd', withNumbers(movie, { [AT.mvhd.duration]: ticks, [AT.mvhd.nextId]: nextId }));
}

/** The length that the track says, in ticks of the movie. */
export function movieTicksOf({ trak }: Pick<Mp4Track, 'trak'>): number {
  return versionZero(contentOf(trak, 'tkhd')).readUInt32BE(AT.tkhd.duration);
}

/** Content of a table: version and flags, the number of its rows, and these. */
export function tableOf(rows: readonly (readonly number[])[]): Buffer {
  return numbersOf([0, rows.length, ...rows.flat()]);
}

/** The rows of a table. @throws UnusualMp4 when it has no such length. */
function rowsOf(content: Buffer, columns: number): number[][] {
  const count = content.length >= 8 ? content.readUInt32BE(4) : -1;
  if (content.length !== 8 + count * columns * 4) throw new UnusualMp4('a table of another length');
  return Array.from({ length: count }, (_, row) =>
    Array.from({ length: columns }, (_, column) => content.readUInt32BE(8 + (row * columns + column) * 4)),
  );
}

function sizesIn(table: Buffer, fileBytes: number): Uint32Array {
  const [all, count] = table.length >= 12 ? [table.readUInt32BE(4), table.readUInt32BE(8)] : [0, 0];
  if (all * count > fileBytes) throw new UnusualMp4('more samples than the file holds');
  if (all !== 0) return new Uint32Array(count).fill(all);
  if (table.length !== 12 + count * 4) throw new UnusualMp4('a table of another length');
  return Uint32Array.from({ length: count }, (_, sample) => table.readUInt32BE(12 + sample * 4));
}

/** Where the first sample lies. @throws UnusualMp4 unless all follow it without a gap, and are of one form. */
function startOf(tables: Buffer, sizes: Uint32Array): number {
  const offsets = rowsOf(contentOf(tables, 'stco'), 1).map(([offset = 0]) => offset);
  const runs = rowsOf(contentOf(tables, 'stsc'), 3);
  const start = offsets[0] ?? 0;
  let [at, sample, run] = [start, 0, -1];
  for (const [chunk, offset] of offsets.entries()) {
    if (runs[run + 1]?.[0] === chunk + 1) run++;
    const [, samples = 0, form] = runs[run] ?? [];
    if (offset !== at || form !== 1) throw new UnusualMp4('samples in several places');
    if (sample + samples > sizes.length) throw new UnusualMp4('more samples in a place than there are');
    for (const last = sample + samples; sample < last; sample++) at += sizes[sample] ?? 0;
  }
  if (sample !== sizes.length || sample === 0) throw new UnusualMp4('samples without a place');
  return start;
}

function chunkBoxes({ samples, offsets }: Chunks): Buffer {
  const runs = samples.flatMap((count, chunk) => (count === samples[chunk - 1] ? [] : [[chunk + 1, count, 1]]));
  return Buffer.concat([boxOf('stsc', tableOf(runs)), boxOf('stco', numbersOf([0, offsets.length, ...offsets]))]);
}

function versionZero(content: Buffer): Buffer {
  if (content[0] !== 0) throw new UnusualMp4('a box of another version');
  return content;
}

/** @throws UnusualMp4 unless one part of the track is played, to its end. */
function editedStart(trak: Buffer): number {
  if (!boxesIn(trak).some(({ name }) => name === 'edts')) return 0;
  const edits = versionZero(contentOf(trak, 'edts', 'elst'));
  if (edits.readUInt32BE(AT.elst.count) !== 1) throw new UnusualMp4('edits');
  return edits.readUInt32BE(AT.elst.start);
}
