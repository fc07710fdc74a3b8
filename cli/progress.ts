import type { RenderView } from '../shared/views/render-view.ts';

const BAR_WIDTH = 30;
/** Where the output is no terminal, a line is printed only this often. */
const PLAIN_LINE_EVERY_MS = 2000;

/** "rendering  [#####-----]  120/204 frames  25.3 frames/s  ETA 4 s" */
export function progressLine({ status, frames, frames_per_second, eta_seconds }: RenderView): string {
  const total = frames.total ?? 0;
  const filled = total > 0 ? Math.round((BAR_WIDTH * frames.done) / total) : 0;
  const bar = `[${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}]`;
  const parts = [status.padEnd(9), bar, `${frames.done}/${frames.total ?? '?'} frames`];
  if (frames_per_second !== null) parts.push(`${frames_per_second.toFixed(1)} frames/s`);
  if (eta_seconds !== null) parts.push(`ETA ${Math.ceil(eta_seconds)} s`);
  return parts.join('  ');
}

/** Shows a render's states: one line that is drawn over on a terminal, a line now and then elsewhere. */
export async function showProgress(states: AsyncIterable<RenderView>, out = process.stdout): Promise<RenderView> {
  let last: RenderView | undefined;
  let printedAtMs = 0;
  for await (const view of states) {
    const changed = view.status !== last?.status;
    last = view;
    if (out.isTTY) {
      out.write(`\r\x1b[K${progressLine(view)}`);
    } else if (changed || Date.now() - printedAtMs > PLAIN_LINE_EVERY_MS) {
      printedAtMs = Date.now();
      out.write(`${progressLine(view)}\n`);
    }
  }
  if (out.isTTY) out.write('\n');
  if (!last) throw new Error('No state was shown');
  return last;
}

/** The timings of a finished render as a small table: the farm's steps, then the work inside `render`. */
export function timingsTable({ timings_ms, frames }: RenderView): string {
  const { stages, ...steps } = timings_ms;
  const row = (name: string, ms: number | null, note = '') =>
    ms === null ? [] : [`  ${name.padEnd(14)}${String(Math.round(ms)).padStart(8)} ms${note}`];
  const perFrame = (ms: number) => (frames.done > 0 ? `${(ms / frames.done).toFixed(2).padStart(10)} ms/frame` : '');
  return [
    'Steps',
    ...Object.entries(steps).flatMap(([name, ms]) => row(name, ms)),
    ...(stages ? ['Work inside render, all segments together'] : []),
    ...Object.entries(stages ?? {}).flatMap(([name, ms]) => row(name, ms, perFrame(ms))),
  ].join('\n');
}
