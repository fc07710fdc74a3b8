import { html, type TemplateResult } from 'lit-html';
import type { QueueHistories } from '../../shared/views/queue-history-view.ts';
import { getQueueHistory } from '../farm.ts';
import { ago } from '../format.ts';
import { TEXTS } from '../texts.ts';
import { lineChart, mostOf } from './line-chart.ts';

const T = TEXTS.farm;
/** The farm looks at its queues as often. */
const LOOK_EVERY_MS = 5000;

type Queue = QueueHistories['queues'][number];

/** The last minutes of the queues, which the farm remembers, as charts. */
export class QueueCharts {
  #history: QueueHistories = { times: [], minutes: 10, queues: [] };
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  /** Asks the farm, unless that was done a moment ago. */
  async look(): Promise<void> {
    if (performance.now() - this.#lookedAtMs < LOOK_EVERY_MS) return;
    this.#history = await getQueueHistory();
    this.#lookedAtMs = performance.now();
  }

  ofGpu(gpu: number): TemplateResult[] {
    const queue = this.#history.queues.find((other) => other.gpu === gpu);
    return queue ? [this.#jobs(queue), this.#frames(queue)] : [];
  }

  /** "101 frames/s, last seen 3 seconds ago". */
  framesText(gpu: number): string {
    const queue = this.#history.queues.find((other) => other.gpu === gpu);
    const when = queue?.last_frame_at ? T.lastFrame(ago(queue.last_frame_at)) : T.noFrame;
    return `${TEXTS.render.speed(queue?.frames_per_second.at(-1) ?? 0)}, ${when}`;
  }

  /** Those that are no GPU's. */
  others(): TemplateResult {
    const names: Readonly<Record<string, string>> = T.queueNames;
    const cards = this.#history.queues
      .filter(({ gpu }) => gpu === null)
      .map((queue) => html`<li class="card"><h3>${names[queue.queue] ?? queue.queue}</h3>${this.#jobs(queue)}</li>`);
    return html`<ul class="cards">${cards}</ul>`;
  }

  #jobs({ jobs }: Queue): TemplateResult {
    return this.#chart(jobs, T.jobsChart);
  }

  #frames({ frames_per_second }: Queue): TemplateResult {
    return this.#chart(frames_per_second, T.framesChart);
  }

  #chart(values: readonly (number | null)[], labelOf: (minutes: number, most: number) => string): TemplateResult {
    const { times, minutes } = this.#history;
    const course = { times, minutes, values };
    const label = labelOf(minutes, mostOf(course));
    return html`<figure>${lineChart(course, label)}<figcaption aria-hidden="true">${label}</figcaption></figure>`;
  }
}
