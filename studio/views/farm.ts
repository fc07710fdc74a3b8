import { html, type TemplateResult } from 'lit-html';
import type { GpuList, GpuView } from '../../shared/views/gpu-view.ts';
import { drainGpu, Fault, listGpus, resumeGpu } from '../farm.ts';
import { ago, duration, megabytes } from '../format.ts';
import { NewestPicture } from '../parts/newest-picture.ts';
import { QueueCharts } from '../parts/queue-charts.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.farm;
const LOOK_EVERY_MS = 2000;

/** Every GPU with its state, models, memory and backlog. */
export function farmView(): View {
  const view = new FarmPage();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class FarmPage {
  #changed: () => void = () => {};
  #gpus: readonly GpuView[] | undefined;
  #processes: GpuList['processes'] = [];
  readonly #charts = new QueueCharts();
  /** Of the renders that GPUs work on, by GPU; the last one stays. */
  readonly #pictures = new Map<number, { readonly renderId: string; readonly picture: NewestPicture }>();
  #fault = '';

  open(changed: () => void, closed: AbortSignal): void {
    this.#changed = changed;
    const tell = (fault: string) => {
      this.#fault = fault;
      changed();
    };
    closed.addEventListener('abort', () => this.#forgetPictures());
    keep(() => this.#look(), { everyMs: LOOK_EVERY_MS, closed, tell }).catch(reportError);
  }

  template(): TemplateResult {
    return html`
      <p class="fault" role="status">${this.#fault}</p>
      ${this.#gpus?.length === 0 ? html`<p>${T.none}</p>` : ''}
      <ul class="cards">${(this.#gpus ?? []).map((gpu) => this.#card(gpu))}</ul>
      ${this.#gpus === undefined ? '' : html`<h2>${T.queues}</h2>${this.#charts.others()}`}
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
          <dt>${T.frames}</dt><dd>${this.#charts.framesText(gpu.gpu)}</dd>
          <dt>${T.streams}</dt><dd>${T.streamsOf(used, streams)}</dd>
        </dl>
        ${this.#blockedModels(gpu)}
        ${this.#picture(gpu)}
        ${this.#charts.ofGpu(gpu.gpu)}
        <div class="orders">${this.#order(gpu)}</div>
      </li>
    `;
  }

  #order({ gpu, state }: GpuView): TemplateResult | string {
    if (state === 'gone') return '';
    return state === 'ready'
      ? this.#button(T.drain, `${T.drain} ${T.gpu(gpu)}`, () => drainGpu(gpu))
      : this.#button(T.resume, `${T.resume} ${T.gpu(gpu)}`, () => resumeGpu(gpu));
  }

  /** Models that the GPU has set aside: to resume it takes all of them up again. */
  #blockedModels({ gpu, models }: GpuView): TemplateResult | string {
    const blocked = models.flatMap(({ model_id, blocked }) =>
      blocked ? [html`<p class="fault">${T.blocked(model_id, blocked.reason, ago(blocked.since))}</p>`] : [],
    );
    if (blocked.length === 0) return '';
    return html`${blocked}<p>${this.#button(T.tryAgain, `${T.tryAgain}, ${T.gpu(gpu)}`, () => resumeGpu(gpu))}</p>`;
  }

  #button(label: string, name: string, order: () => Promise<unknown>): TemplateResult {
    const click = () => {
      order()
        .then(() => this.#look())
        .catch((thrown: unknown) => {
          this.#fault = faultText(thrown);
        })
        .finally(this.#changed);
    };
    return html`<button type="button" aria-label=${name} @click=${click}>${label}</button>`;
  }

  async #look(): Promise<void> {
    const { gpus, processes } = await listGpus().catch((thrown: unknown) => {
      throw thrown instanceof Fault && thrown.code === 'forbidden' ? new Fault(thrown.code, T.forbidden) : thrown;
    });
    this.#gpus = gpus;
    this.#processes = processes;
    await Promise.all([this.#charts.look(), ...gpus.map((gpu) => this.#lookAtPicture(gpu))]);
  }

  async #lookAtPicture({ gpu, renders: [renderId] }: GpuView): Promise<void> {
    if (renderId === undefined) return;
    const picture = this.#pictures.get(gpu)?.picture ?? new NewestPicture();
    await picture.look(renderId);
    if (picture.url !== '') this.#pictures.set(gpu, { renderId, picture });
  }

  #picture({ gpu }: GpuView): TemplateResult | string {
    const shown = this.#pictures.get(gpu);
    if (!shown) return '';
    return html`<a href=${`#/renders/${shown.renderId}`}><img class="picture" src=${shown.picture.url} alt=${T.picture} /></a>`;
  }

  #forgetPictures(): void {
    for (const { picture } of this.#pictures.values()) picture.forget();
    this.#pictures.clear();
  }
}

function backlogText({ jobs, ms }: GpuView['backlog']): string {
  return ms === null || jobs === 0 ? T.jobs(jobs) : `${T.jobs(jobs)}, ${duration(ms)}`;
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
