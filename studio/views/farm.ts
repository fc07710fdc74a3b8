import { html, type TemplateResult } from 'lit-html';
import type { GpuList, GpuView } from '../../shared/views/gpu-view.ts';
import { drainGpu, Fault, listGpus, resumeGpu } from '../farm.ts';
import { ago, duration, megabytes } from '../format.ts';
import { CHART_SLOTS, framesPerSecond, jobsOf, lastFrameMs, noteGpus } from '../gpu-history.ts';
import { lineChart } from '../parts/line-chart.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.farm;
const LOOK_EVERY_MS = 2000;
const CHART_MINUTES = (CHART_SLOTS * LOOK_EVERY_MS) / 60_000;

/** Every GPU with its state, models, memory and backlog. */
export function farmView(): View {
  const view = new FarmPage();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class FarmPage {
  #changed: () => void = () => {};
  #gpus: readonly GpuView[] | undefined;
  #processes: GpuList['processes'] = [];
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
      ${processes(this.#processes)}
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
          <dt>${T.backlog}</dt><dd>${backlogText(gpu.backlog)}</dd>
          <dt>${T.frames}</dt><dd>${framesText(gpu.gpu)}</dd>
          <dt>${T.streams}</dt><dd>${T.streamsOf(used, streams)}</dd>
        </dl>
        ${blockedModels(gpu)}
        ${queueChart(gpu)}
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
    const { gpus, processes } = await listGpus().catch((thrown: unknown) => {
      throw thrown instanceof Fault && thrown.code === 'forbidden' ? new Fault(thrown.code, T.forbidden) : thrown;
    });
    this.#gpus = gpus;
    this.#processes = processes;
    noteGpus(gpus);
  }
}

function queueChart({ gpu }: GpuView): TemplateResult {
  const jobs = jobsOf(gpu);
  const label = T.chart(CHART_MINUTES, Math.max(0, ...jobs));
  return html`<figure>${lineChart(jobs, { label, slots: CHART_SLOTS })}<figcaption aria-hidden="true">${label}</figcaption></figure>`;
}

function backlogText({ jobs, ms }: GpuView['backlog']): string {
  return ms === null || jobs === 0 ? T.jobs(jobs) : `${T.jobs(jobs)}, ${duration(ms)}`;
}

function framesText(gpu: number): string {
  const lastMs = lastFrameMs(gpu);
  const rate = TEXTS.render.speed(framesPerSecond(gpu) ?? 0);
  return `${rate}, ${lastMs === undefined ? T.noFrame : T.lastFrame(ago(new Date(lastMs).toISOString()))}`;
}

function blockedModels({ models }: GpuView): TemplateResult[] {
  return models.flatMap(({ model_id, blocked }) =>
    blocked ? [html`<p class="fault">${T.blocked(model_id, blocked.reason, ago(blocked.since))}</p>`] : [],
  );
}

function processes(all: GpuList['processes']): TemplateResult | string {
  if (all.length === 0) return '';
  return html`
    <h2>${T.processes}</h2>
    <table>
      <thead><tr>${T.processColumns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>
        ${all.map(
          ({ name, state, restarts, last_end }) =>
            html`<tr><td>${name}</td><td>${T.processState[state]}</td><td>${T.restarts(restarts)}</td><td>${last_end ?? '–'}</td></tr>`,
        )}
      </tbody>
    </table>
  `;
}
