import { html, type TemplateResult } from 'lit-html';
import type { GpuView } from '../../shared/views/gpu-view.ts';
import { drainGpu, Fault, listGpus, resumeGpu } from '../farm.ts';
import { megabytes } from '../format.ts';
import { lineChart } from '../parts/line-chart.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.farm;
const LOOK_EVERY_MS = 2000;
const CHART_MINUTES = 5;
const CHART_SLOTS = (CHART_MINUTES * 60_000) / LOOK_EVERY_MS;

/** Every GPU with its state, models, memory and backlog. */
export function farmView(): View {
  const view = new FarmPage();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class FarmPage {
  #changed: () => void = () => {};
  #gpus: readonly GpuView[] | undefined;
  /** Jobs on the queue of each GPU at each look, oldest first. */
  readonly #jobs = new Map<number, number[]>();
  #fault = '';

  open(changed: () => void, closed: AbortSignal): void {
    this.#changed = changed;
    const tell = (fault: string) => {
      this.#fault = fault;
      changed();
    };
    keep(() => this.#look(), { everyMs: LOOK_EVERY_MS, closed, tell }).catch(reportError);
  }

  template(): TemplateResult {
    return html`
      <p class="fault" role="status">${this.#fault}</p>
      ${this.#gpus?.length === 0 ? html`<p>${T.none}</p>` : ''}
      <ul class="cards">${(this.#gpus ?? []).map((gpu) => this.#card(gpu))}</ul>
    `;
  }

  #card(gpu: GpuView): TemplateResult {
    const models = gpu.models.filter(({ loaded }) => loaded).map(({ model_id }) => model_id);
    const { streams, used } = gpu.capacity;
    return html`
      <li class="card">
        <h2>${T.gpu(gpu.gpu)} <span class="badge ${gpu.state}">${T.state[gpu.state]}</span></h2>
        <dl>
          <dt>${T.host}</dt><dd>${gpu.host ?? '–'}</dd>
          <dt>${T.device}</dt><dd>${gpu.device ?? '–'}</dd>
          <dt>${T.models}</dt><dd>${models.join(', ') || T.noModels}</dd>
          <dt>${T.memory}</dt>
          <dd>${gpu.memory ? T.memoryOf(megabytes(gpu.memory.used_mb), megabytes(gpu.memory.limit_mb)) : '–'}</dd>
          <dt>${T.backlog}</dt><dd>${T.jobs(gpu.backlog.jobs)}</dd>
          <dt>${T.streams}</dt><dd>${T.streamsOf(used, streams)}</dd>
        </dl>
        ${lineChart(this.#jobs.get(gpu.gpu) ?? [], { label: T.chart(CHART_MINUTES), slots: CHART_SLOTS })}
        <div class="orders">${this.#order(gpu)}</div>
      </li>
    `;
  }

  #order({ gpu, state }: GpuView): TemplateResult | string {
    if (state === 'gone') return '';
    const isReady = state === 'ready';
    const click = () => {
      (isReady ? drainGpu(gpu) : resumeGpu(gpu))
        .then(() => this.#look())
        .catch((thrown: unknown) => {
          this.#fault = faultText(thrown);
        })
        .finally(this.#changed);
    };
    const label = isReady ? T.drain : T.resume;
    return html`<button type="button" aria-label=${`${label} ${T.gpu(gpu)}`} @click=${click}>${label}</button>`;
  }

  async #look(): Promise<void> {
    const { gpus } = await listGpus().catch((thrown: unknown) => {
      throw thrown instanceof Fault && thrown.code === 'forbidden' ? new Fault(thrown.code, T.forbidden) : thrown;
    });
    this.#gpus = gpus;
    for (const { gpu, backlog } of gpus) {
      this.#jobs.set(gpu, [...(this.#jobs.get(gpu) ?? []), backlog.jobs].slice(-CHART_SLOTS));
    }
  }
}
