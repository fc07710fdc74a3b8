import type { RenderView } from '../shared/views/render-view.ts';
import { printJsonLine } from './json-output.ts';

const BAR_WIDTH = 30;
const LEAST_BAR_WIDTH = 5;
/** Where the output is no terminal, a line is printed only this often. */
const PLAIN_LINE_EVERY_MS = 2000;
/** An estimate that grows by less is not shown: the old one goes on counting down. */
const GROWTH_TO_SAY = { factor: 1.25, seconds: 2 };

/** A line with a bar that fits into a terminal: a longer one would be drawn below itself again and again. */
export function fitted(columns: number | undefined, line: (barWidth: number) => string): string {
  const most = (columns ?? Number.POSITIVE_INFINITY) - 1;
  const excess = line(BAR_WIDTH).length - most;
  return line(Math.min(BAR_WIDTH, Math.max(LEAST_BAR_WIDTH, BAR_WIDTH - excess))).slice(0, most);
}

/** "rendering  [#####-----]  120/204 frames  25.3 frames/s  ETA 4 s" */
function progressLine(
  { status, frames, frames_per_second }: RenderView,
  timeLeft: string | undefined,
  barWidth: number,
): string {
  const parts = [
    status.padEnd(9),
    progressBar(frames.done, frames.total ?? 0, barWidth),
    `${frames.done}/${frames.total ?? '?'} frames`,
  ];
  if (frames_per_second !== null) parts.push(`${frames_per_second.toFixed(1)} frames/s`);
  if (timeLeft !== undefined) parts.push(timeLeft);
  if (frames.repeating > 0) parts.push(`retrying: ${frames.repeating} frames again`);
  return parts.join('  ');
}

/** "[#####-----]" */
export function progressBar(done: number, total: number, width: number): string {
  const filled = total > 0 ? Math.round((width * done) / total) : 0;
  return `[${'█'.repeat(filled)}${'░'.repeat(width - filled)}]`;
}

type Waiting = RenderView['waiting'];

/** True for a wait that was not said yet: for something else, or after there was none. */
function isNews(now: Waiting, before: Waiting | undefined): now is NonNullable<Waiting> {
  return now !== null && (now.code !== before?.code || now.since !== before.since);
}

function waitingLine({ code, message, remedy }: NonNullable<Waiting>): string {
  return `The farm waits and tries again: ${code}: ${message}\n${remedy}`;
}

/** The time left, as it is shown: it only falls, or says that it was too short. */
export class TimeLeft {
  #endsAtMs: number | undefined;

  /** "ETA 4 s" at `nowMs`, or undefined while nothing is known. */
  show(etaSeconds: number | null, nowMs: number): string | undefined {
    if (etaSeconds === null) return undefined;
    const before = this.#endsAtMs === undefined ? undefined : Math.max(0, (this.#endsAtMs - nowMs) / 1000);
    const grown = before !== undefined && etaSeconds > before * GROWTH_TO_SAY.factor + GROWTH_TO_SAY.seconds;
    if (before === undefined || grown || etaSeconds < before) this.#endsAtMs = nowMs + etaSeconds * 1000;
    const seconds = Math.ceil(((this.#endsAtMs ?? nowMs) - nowMs) / 1000);
    if (grown) return `ETA ${seconds} s (more than thought)`;
    return seconds > 0 ? `ETA ${seconds} s` : 'nearly done';
  }
}

/** How a command shows what becomes of a render. */
export interface Progress {
  /** Shows all states and resolves to the last one. */
  show(states: AsyncIterable<RenderView>): Promise<RenderView>;
  /** A line for people. */
  say(text: string): void;
}

/** For programs: a line of JSON on standard output for each change, and what is said to people on standard error. */
export class JsonProgress implements Progress {
  async show(states: AsyncIterable<RenderView>): Promise<RenderView> {
    let last: RenderView | undefined;
    for await (const view of states) {
      const isNew = view.status !== last?.status || view.frames.done !== last.frames.done;
      if (isNew) printJsonLine({ event: 'progress', render: view });
      last = view;
    }
    if (!last) throw new Error('No state was shown');
    return last;
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }
}

/** Shows a render's states: one line that is drawn over on a terminal, a line now and then elsewhere. */
export class ProgressDisplay implements Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #timeLeft = new TimeLeft();
  #lineIsOpen = false;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  /** Shows them all and resolves to the last one. */
  async show(states: AsyncIterable<RenderView>): Promise<RenderView> {
    let last: RenderView | undefined;
    let printedAtMs = 0;
    try {
      for await (const view of states) {
        if (isNews(view.waiting, last?.waiting)) this.say(waitingLine(view.waiting));
        const changed = view.status !== last?.status || view.frames.repeating > (last?.frames.repeating ?? 0);
        last = view;
        const timeLeft = this.#timeLeft.show(view.eta_seconds, performance.now());
        const line = fitted(this.#out.columns, (width) => progressLine(view, timeLeft, width));
        if (this.#out.isTTY) {
          this.#out.write(`\r\x1b[K${line}`);
          this.#lineIsOpen = true;
        } else if (changed || performance.now() - printedAtMs > PLAIN_LINE_EVERY_MS) {
          printedAtMs = performance.now();
          this.#out.write(`${line}\n`);
        }
      }
    } finally {
      this.#closeLine();
    }
    if (!last) throw new Error('No state was shown');
    return last;
  }

  /** A line of its own, below the progress so far. */
  say(text: string): void {
    this.#closeLine();
    this.#out.write(`${text}\n`);
  }

  #closeLine(): void {
    if (this.#lineIsOpen) this.#out.write('\n');
    this.#lineIsOpen = false;
  }
}

/** The timings of a finished render as a small table: the farm's steps, then the work inside `render`. */
export function timingsTable({ timings_ms, frames }: RenderView): string {
  const { stages, ...steps } = timings_ms;
  const row = (name: string, ms: number | null, note = '') =>
    ms === null ? [] : [`  ${name.padEnd(14)}${String(Math.round(ms)).padStart(8)} ms${note}`];
  const perFrame = (ms: number) => (frames.done > 0 ? `${(ms / frames.done).toFixed(2).padStart(10)} ms/frame` : '');
  const work =
    timings_ms.render === null
      ? ['Nothing was rendered: all segments were kept from earlier renders']
      : [
          'Work inside render, all segments together',
          ...Object.entries(stages ?? {}).flatMap(([name, ms]) => row(name, ms, perFrame(ms))),
        ];
  return ['Steps', ...Object.entries(steps).flatMap(([name, ms]) => row(name, ms)), ...(stages ? work : [])].join('\n');
}
