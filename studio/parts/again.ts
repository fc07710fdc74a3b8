import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { listModels, soundOf, submitRender } from '../farm.ts';
import { keepSound, keptSound } from '../sounds.ts';
import { TEXTS } from '../texts.ts';
import { faultText } from '../view.ts';

const T = TEXTS.again;

/** Sends the sound of a render once more, with another avatar: the page's own file, else the sound of the video. */
export class AgainForm {
  readonly #changed: () => void;
  #models: readonly ModelView[] = [];
  #modelId = '';
  #sentPercent: number | undefined;
  #fault = '';

  constructor(changed: () => void) {
    this.#changed = changed;
    listModels().then(
      ({ models }) => {
        this.#models = models.filter(({ usable }) => usable);
        changed();
      },
      (thrown: unknown) => this.#fail(thrown),
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
        <button ?disabled=${this.#sentPercent !== undefined || this.#models.length === 0}>
          ${this.#sentPercent === undefined ? T.submit : TEXTS.make.sending(this.#sentPercent)}
        </button>
        <small>${kept ? T.ownFile : T.fromVideo}</small>
        <p class="fault" role="alert">${this.#fault}</p>
      </form>
    `;
  }

  async #send(event: Event, render: RenderView, modelId: string): Promise<void> {
    event.preventDefault();
    this.#fault = '';
    this.#tellSent(0);
    try {
      const sound = keptSound(render.id) ?? (await soundOf(render));
      const { labels, priority } = render;
      const onSent = (part: number) => this.#tellSent(Math.floor(100 * part));
      const { id } = await submitRender({ sound, modelId, labels, priority, onSent });
      keepSound(id, sound);
      location.hash = `/renders/${id}`;
    } catch (thrown) {
      this.#sentPercent = undefined;
      this.#fail(thrown);
    }
  }

  #tellSent(percent: number): void {
    this.#sentPercent = percent;
    this.#changed();
  }

  #fail(thrown: unknown): void {
    this.#fault = faultText(thrown);
    this.#changed();
  }
}
