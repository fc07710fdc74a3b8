import type { FarmError } from '../../shared/errors/farm-error.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { printJsonLine } from '../json-output.ts';
import { fitted, progressBar } from '../progress.ts';

/** Shows many renders: a line for each that has ended, and on a terminal one below them for all. */
export class ManyDisplay {
  readonly #json: boolean;
  readonly #out = process.stdout;
  readonly #running = new Map<string, RenderView>();
  #count = 0;
  #completed = 0;
  #failed = 0;
  #cancelled = 0;
  #lineIsOpen = false;

  /** @param json for programs: a line of JSON for each event instead. */
  constructor(json: boolean) {
    this.#json = json;
  }

  begin(count: number, url: string): void {
    this.#count = count;
    this.say(`Rendering ${count === 1 ? 'one sound' : `${count} sounds`} at ${url}; Ctrl-C cancels them.`);
  }

  update(file: string, view: RenderView): void {
    const before = this.#running.get(file);
    this.#running.set(file, view);
    if (this.#json) {
      const isNew = before?.status !== view.status || before.frames.done !== view.frames.done;
      if (isNew) printJsonLine({ event: 'progress', file, render: view });
      return;
    }
    if (!this.#out.isTTY) return;
    this.#out.write(`\r\x1b[K${fitted(this.#out.columns, (width) => this.#line(width))}`);
    this.#lineIsOpen = true;
  }

  completed(file: string, render: RenderView, out: string): void {
    this.#running.delete(file);
    this.#completed++;
    if (this.#json) {
      printJsonLine({ event: 'completed', file, render, out });
      return;
    }
    const seconds = ((render.timings_ms.total ?? 0) / 1000).toFixed(1);
    this.say(`✓ ${file} → ${out}  (${render.frames.done} frames in ${seconds} s)`);
  }

  failed(file: string, render: RenderView | undefined, error: FarmError): void {
    this.#running.delete(file);
    this.#failed++;
    const report = error.toReport();
    if (this.#json) {
      printJsonLine({ event: 'failed', file, render: render ?? null, error: report });
      return;
    }
    const id = render ? ` (render ${render.id})` : '';
    this.say(`✗ ${file}${id}: ${report.message}  [${report.code}]`);
    this.say(`  what to do: ${report.remedy}`);
  }

  /** @param render as it stands now; undefined for a sound that was not sent, which only the summary counts. */
  cancelled(file: string, render: RenderView | undefined): void {
    this.#running.delete(file);
    this.#cancelled++;
    if (this.#json) printJsonLine({ event: 'cancelled', file, render: render ?? null });
    else if (render?.status === 'completed') {
      this.say(`– ${file} (render ${render.id}): completed before it could be cancelled`);
      this.say(`  farm render --resume ${render.id} fetches its video`);
    } else if (render) this.say(`– ${file} (render ${render.id}): ${render.status}`);
  }

  /** The summary. */
  end(): { completed: number; failed: number; cancelled: number } {
    const summary = { completed: this.#completed, failed: this.#failed, cancelled: this.#cancelled };
    if (this.#json) printJsonLine({ event: 'summary', ...summary });
    else {
      const others = [
        ...(summary.failed > 0 ? [`, ${summary.failed} failed`] : []),
        ...(summary.cancelled > 0 ? [`, ${summary.cancelled} cancelled`] : []),
      ];
      this.say(`\n${summary.completed} of ${this.#count} rendered${others.join('')}.`);
    }
    return summary;
  }

  /** For people: on standard error where programs read the rest. */
  say(text: string): void {
    if (this.#lineIsOpen) this.#out.write('\r\x1b[K');
    this.#lineIsOpen = false;
    (this.#json ? process.stderr : this.#out).write(`${text}\n`);
  }

  #line(barWidth: number): string {
    const views = [...this.#running.values()];
    const sum = (of: (view: RenderView) => number) => views.reduce((total, view) => total + of(view), 0);
    const done = sum(({ frames }) => frames.done);
    const total = sum(({ frames }) => frames.total ?? 0);
    const etas = views.flatMap(({ eta_seconds }) => (eta_seconds === null ? [] : [eta_seconds]));
    const speed = sum(({ frames_per_second }) => frames_per_second ?? 0);
    const parts = [
      `${this.#completed + this.#failed + this.#cancelled}/${this.#count} done, ${views.length} running`,
      progressBar(done, total, barWidth),
      `${done}/${total} frames`,
      ...(speed > 0 ? [`${speed.toFixed(1)} frames/s`] : []),
      ...(etas.length > 0 ? [`ETA of these ${Math.ceil(Math.max(...etas))} s`] : []),
    ];
    return parts.join('  ');
  }
}
