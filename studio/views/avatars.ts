import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import { listModels, loadModel, unloadModel } from '../farm.ts';
import { megabytes } from '../format.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.avatars;
const LOOK_EVERY_MS = 3000;

/** Every configured avatar: usable or not, and where it is loaded. */
export function avatarsView(): View {
  const view = new AvatarsPage();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class AvatarsPage {
  #changed: () => void = () => {};
  #models: readonly ModelView[] | undefined;
  readonly #busy = new Set<string>();
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
      <ul class="cards">${(this.#models ?? []).map((model) => this.#card(model))}</ul>
    `;
  }

  #card(model: ModelView): TemplateResult {
    const places = model.loaded_on.map(({ gpu, memory_mb }) => `${TEXTS.farm.gpu(gpu)}, ${megabytes(memory_mb)}`);
    const isLoaded = places.length > 0;
    return html`
      <li class="card">
        <h2>${model.id} <span class="badge ${model.usable ? 'ready' : 'failed'}">${model.usable ? T.usable : TEXTS.make.unusable}</span></h2>
        ${model.problems.map((problem) => html`<p class="fault">${problem}</p>`)}
        <dl>
          <dt>${T.loadedOn}</dt><dd>${places.join('; ') || TEXTS.avatar.notLoaded}</dd>
          <dt>${T.requests}</dt><dd>${model.requests}</dd>
        </dl>
        <div class="orders">${this.#order(model, isLoaded)}</div>
      </li>
    `;
  }

  #order({ id, usable }: ModelView, isLoaded: boolean): TemplateResult {
    const label = isLoaded ? TEXTS.avatar.unload : TEXTS.avatar.load;
    const isBusy = this.#busy.has(id);
    const click = () => {
      this.#busy.add(id);
      this.#changed();
      (isLoaded ? unloadModel(id) : loadModel(id))
        .then(() => this.#look())
        .catch((thrown: unknown) => {
          this.#fault = faultText(thrown);
        })
        .finally(() => {
          this.#busy.delete(id);
          this.#changed();
        });
    };
    return html`<button type="button" ?disabled=${!usable || isBusy} aria-label=${`${label} ${id}`} @click=${click}>
      ${isBusy ? TEXTS.avatar.loading : label}
    </button>`;
  }

  async #look(): Promise<void> {
    this.#models = (await listModels()).models;
  }
}
