import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { listModels, soundOf } from '../farm.ts';
import { keptSound } from '../sounds.ts';
import { TEXTS } from '../texts.ts';
import { Sending } from './sending.ts';

const T = TEXTS.again;

/** Sends the sound of a render once more, with another avatar: the page's own file, else the sound of the video. */
export class AgainForm {
  readonly #changed: () => void;
  #models: readonly ModelView[] = [];
  #modelId = '';
  readonly #sending: Sending;

  constructor(changed: () => void) {
    this.#changed = changed;
    this.#sending = new Sending(changed);
    listModels().then(
      ({ models }) => {
        this.#models = models.filter(({ usable }) => usable);
        changed();
      },
      (thrown: unknown) => this.#sending.fail(thrown),
    );
  }

  template(render: RenderView): TemplateResult {
    const kept = keptSound(render.id);
    if (!kept && !render.links.video) return html`<p>${T.noSound} <a href="#/">${TEXTS.make.title}</a></p>`;
    const other = this.#models.find(({ id }) => id !== render.model_id)?.id ?? render.model_id;
    const chosen = this.#modelId || other;
    const choose = (event: Event) => {
      this.#modelId = (event.target as HTMLSelectElement).value;
      this.#changed();
    };
    return html`
      <form class="again" @submit=${(event: Event) => this.#send(event, render, chosen)}>
        <label>${T.with}
          <select @change=${choose}>
            ${this.#models.map(({ id }) => html`<option value=${id} ?selected=${id === chosen}>${id}</option>`)}
          </select>
        </label>
        <button ?disabled=${this.#sending.isBusy || this.#models.length === 0}>
          ${this.#sending.label(T.submit)}
        </button>
        <small>${kept ? T.ownFile : T.fromVideo}</small>
        <p class="fault" role="alert">${this.#sending.fault}</p>
      </form>
    `;
  }

  async #send(event: Event, render: RenderView, modelId: string): Promise<void> {
    event.preventDefault();
    const { labels, priority } = render;
    await this.#sending.send(async () => ({
      sound: keptSound(render.id) ?? (await soundOf(render)),
      ...{ modelId, labels, priority },
    }));
  }
}
