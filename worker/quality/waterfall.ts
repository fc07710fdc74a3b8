/** Which step of a render ran when, and on which GPU: docs/quality.md. */
import type { RenderRecord, SegmentReceipt, StageTimings } from '../../shared/renders/record.ts';
import { drawTimes, escaped, short, svgDocument, type TimeAxis } from './drawing.ts';

export interface WaterfallParts {
  readonly record: RenderRecord;
  /** In their order, one or more. */
  readonly segments: readonly SegmentReceipt[];
  /** When the last step ended, in ms since 1970. */
  readonly endedAtMs: number;
}

/** A stretch of time in a row, in ms since 1970. */
interface Bar {
  readonly kind: string;
  /** What it is and how long, shown beside the pointer. */
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Upper or lower half of its row, or all of it. */
  readonly half?: 0 | 1;
}

interface Row {
  readonly label: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 1200;
const LEFT = 176;
const RIGHT = 24;
const TOP = 76;
const ROW = 26;
const BAR = 18;
/** With more segments than this each GPU gets one row for all of its own. */
const MOST_ROWS = 40;
/** With more bars than this in a row none has words of its own: they would make most of the file. */
const MOST_NAMED = 100;
const READING =
  'In a segment: above, what makes mouths; below, what makes frames of them; each stage as long as it took in all. What is empty was waiting.';

/** What each thread does in a segment, and its colour. The two work side by side. */
const STAGES: readonly { kind: string; name: string; half: 0 | 1; colour: string; of: (t: StageTimings) => number }[] =
  [
    { kind: 'mel', name: 'mel', half: 0, colour: 'sky', of: ({ mel }) => mel },
    { kind: 'encoder', name: 'encoder', half: 0, colour: 'blue', of: ({ encoder }) => encoder },
    { kind: 'pictures', name: 'pictures', half: 0, colour: 'green', of: (t) => t.background + t.visual_input },
    { kind: 'network', name: 'network', half: 0, colour: 'orange', of: ({ inference }) => inference },
    { kind: 'composite', name: 'composite', half: 1, colour: 'red', of: ({ composite }) => composite },
    { kind: 'encode', name: 'encode', half: 1, colour: 'pink', of: ({ encode }) => encode },
  ];
const STYLE = [
  '.wait{fill:var(--line)}.step{fill:var(--soft)}.rest{fill:none;stroke:var(--pale);stroke-width:1}',
  ...STAGES.map(({ kind, colour }) => `.${kind}{fill:var(--${colour})}`),
].join('');

/** An SVG. */
export function drawWaterfall({ record, segments, endedAtMs }: WaterfallParts): string {
  const startMs = record.createdAtMs;
  const seconds = Math.max(0.001, (endedAtMs - startMs) / 1000);
  const axis: TimeAxis = { left: LEFT, width: WIDTH - LEFT - RIGHT, seconds };
  const rows = [prepareRow(record), ...segmentRows(record, segments), stitchRow(record, endedAtMs)];
  const bottom = TOP + rows.length * ROW;
  const toX = (ms: number) => LEFT + axis.width * Math.max(0, Math.min(1, (ms - startMs) / 1000 / seconds));
  const body = [
    `<text class="heading" x="14" y="26">Where the time went</text>`,
    `<text class="soft end" x="${WIDTH - RIGHT}" y="26">${duration(endedAtMs - startMs)} in all</text>`,
    legend(),
    drawTimes(axis, TOP - 6, bottom + 4),
    ...rows.map((row, at) => drawRow(row, TOP + at * ROW, toX)),
    `<text class="soft" x="${LEFT}" y="${bottom + 48}">${READING}</text>`,
  ].join('\n');
  const title = `Where the time of render ${record.renderId} went`;
  const description = describe(rows, endedAtMs - startMs);
  return svgDocument({ width: WIDTH, height: bottom + 64, title, description, style: STYLE, body });
}

function prepareRow({ createdAtMs, preparingAtMs = createdAtMs, renderingAtMs = preparingAtMs }: RenderRecord): Row {
  return {
    label: 'prepare',
    bars: [bar('wait', 'wait', createdAtMs, preparingAtMs), bar('step', 'prepare', preparingAtMs, renderingAtMs)],
  };
}

function stitchRow({ createdAtMs, stitchingAtMs = createdAtMs }: RenderRecord, endedAtMs: number): Row {
  return { label: 'stitch', bars: [bar('step', 'stitch', stitchingAtMs, endedAtMs)] };
}

function segmentRows(record: RenderRecord, segments: readonly SegmentReceipt[]): Row[] {
  const placed = placedInTime(record, segments);
  if (placed.length <= MOST_ROWS) {
    return placed.map(({ segment, startMs }) => ({
      label: `${placeOf(segment)} · segment ${segment.index}`,
      bars: segmentBars(segment, startMs, record.renderingAtMs ?? startMs),
    }));
  }
  return [...Map.groupBy(placed, ({ segment }) => placeOf(segment))].map(([place, own]) => ({
    label: `${place} · ${own.length} segments`,
    bars: own.flatMap(({ segment, startMs }) => segmentBars(segment, startMs, startMs)),
  }));
}

/** Of one that an earlier render has made nothing was done. */
function placeOf({ gpu, cached }: SegmentReceipt): string {
  return cached ? 'kept' : `GPU ${gpu}`;
}

/** Segments by GPU, and when each began. Of one of an earlier worker that is a guess: after the one before it there. */
function placedInTime(
  { firstSegmentAtMs, renderingAtMs, createdAtMs }: RenderRecord,
  segments: readonly SegmentReceipt[],
): { segment: SegmentReceipt; startMs: number }[] {
  const freeAt = new Map<number, number>();
  const placed = segments.map((segment) => {
    const before = freeAt.get(segment.gpu) ?? firstSegmentAtMs ?? renderingAtMs ?? createdAtMs;
    const startMs = segment.started_at === undefined ? before : Date.parse(segment.started_at);
    freeAt.set(segment.gpu, startMs + segment.wall_ms);
    return { segment, startMs };
  });
  return placed.sort((a, b) => a.segment.gpu - b.segment.gpu || a.startMs - b.startMs);
}

/** The wait, then what the two threads did: in the order of the stages, as long as each took in all. */
function segmentBars(
  { timings_ms, wall_ms, attempt, frames }: SegmentReceipt,
  startMs: number,
  queuedMs: number,
): Bar[] {
  const bars = [
    bar('wait', 'wait', queuedMs, startMs),
    bar('rest', whole(frames, attempt), startMs, startMs + wall_ms),
  ];
  for (const half of [0, 1] as const) {
    const own = STAGES.filter((stage) => stage.half === half);
    const sum = own.reduce((total, { of }) => total + of(timings_ms), 0);
    const scale = sum > wall_ms ? wall_ms / sum : 1;
    let at = startMs;
    for (const { kind, name, of } of own) {
      const tookMs = of(timings_ms);
      bars.push({ kind, name: `${name} ${duration(tookMs)}`, fromMs: at, toMs: at + tookMs * scale, half });
      at += tookMs * scale;
    }
  }
  return bars;
}

function whole({ start, end }: SegmentReceipt['frames'], attempt: number): string {
  return `frames ${start} to ${end - 1}${attempt > 1 ? `, attempt ${attempt}` : ''}`;
}

function bar(kind: string, name: string, fromMs: number, toMs: number): Bar {
  return { kind, name: `${name} ${duration(toMs - fromMs)}`, fromMs, toMs };
}

function drawRow({ label, bars }: Row, top: number, toX: (ms: number) => number): string {
  const rects = bars
    .filter(({ fromMs, toMs }) => toMs > fromMs)
    .map(({ kind, name, fromMs, toMs, half }) => {
      const [x, end] = [toX(fromMs), toX(toMs)];
      const y = top + (half === 1 ? BAR / 2 : 0);
      const height = half === undefined ? BAR : BAR / 2;
      const place = `x="${short(x)}" y="${y}" width="${short(Math.max(0.3, end - x))}" height="${height}"`;
      const words = bars.length > MOST_NAMED ? '' : `<title>${escaped(`${label}: ${name}`)}</title>`;
      return `<rect class="${kind}" ${place}>${words}</rect>`;
    });
  return `<text class="end" x="${LEFT - 10}" y="${top + 14}">${escaped(label)}</text>\n${rects.join('\n')}`;
}

function legend(): string {
  const names = [['wait', 'wait'], ['step', 'prepare, stitch'], ...STAGES.map(({ kind, name }) => [kind, name])];
  let x = LEFT;
  return names
    .map(([kind = '', name = '']) => {
      const at = x;
      x += 30 + name.length * 7.5;
      return `<rect class="${kind}" x="${short(at)}" y="42" width="12" height="12"/><text class="soft" x="${short(at + 17)}" y="53">${name}</text>`;
    })
    .join('\n');
}

function describe(rows: readonly Row[], totalMs: number): string {
  const lines = rows.map(({ label, bars }) => {
    const took = bars.filter(({ fromMs, toMs }) => toMs > fromMs).map(({ name }) => name);
    return `${label}: ${took.slice(0, 9).join(', ')}${took.length > 9 ? ', and more' : ''}.`;
  });
  return `A render of ${duration(totalMs)}, step by step. ${lines.join(' ')}`;
}

function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(Math.max(0, ms))} ms`;
  return ms < 99_950
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}
