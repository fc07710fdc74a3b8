import { html, svg, type TemplateResult } from 'lit-html';
import type { AvatarPicturesView, ModelView } from '../../shared/views/models-view.ts';
import { Fault, listAvatarPictures, listModels, loadModel, unloadModel } from '../farm.ts';
import { ago, duration, megabytes } from '../format.ts';
import { usableBadge } from '../parts/status.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.avatar;
const LOOK_EVERY_MS = 3000;

/** One avatar: its pictures with their crop rects, where it is loaded, what is wrong with it. */
export function avatarView(id: string): View {
  const view = new AvatarPage(id);
  return { title: id, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class AvatarPage {
  readonly #id: string;
  #changed: () => void = () => {};
  /** Undefined until it is known; null when there is no such avatar. */
  #model: ModelView | null | undefined;
  #pictures: AvatarPicturesView | undefined;
  #noPictures = '';
  #isBusy = false;
  #fault = '';
  #orderFault = '';

  constructor(id: string) {
    this.#id = id;
  }

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
      <p><a href="#/avatars">${T.back}</a></p>
      <p class="fault" role="alert">${this.#fault}${this.#orderFault}</p>
      ${this.#model === undefined ? html`<p>${TEXTS.loading}</p>` : ''}
      ${this.#model === null ? html`<p>${TEXTS.notFound}</p>` : ''}
      ${this.#model ? this.#page(this.#model) : ''}
    `;
  }

  #page(model: ModelView): TemplateResult {
    const { usable, problems, average_inference_ms: inferenceMs, last_used_at: lastUse } = model;
    return html`
      <p>${usableBadge(usable)}</p>
      ${problems.length > 0 ? html`<h2>${T.problems}</h2><ul>${problems.map((problem) => html`<li class="fault">${problem}</li>`)}</ul>` : ''}
      <div class="orders">${this.#order(model)} <a class="button" href="#/">${T.use}</a></div>
      <h2>${T.pictures}</h2>
      ${this.#pictures ? gallery(this.#pictures) : html`<p>${this.#noPictures}</p>`}
      <h2>${TEXTS.avatars.loadedOn}</h2>
      ${places(model)}
      <dl>
        <dt>${TEXTS.avatars.requests}</dt><dd>${model.requests}</dd>
        <dt>${T.network}</dt><dd>${inferenceMs === null ? '–' : duration(inferenceMs)}</dd>
        <dt>${T.lastUse}</dt><dd>${lastUse === null ? '–' : ago(lastUse)}</dd>
      </dl>
    `;
  }

  #order({ id, usable, loaded_on }: ModelView): TemplateResult {
    const isLoaded = loaded_on.length > 0;
    const label = isLoaded ? T.unload : T.load;
    const click = () => {
      this.#isBusy = true;
      this.#orderFault = '';
      this.#changed();
      (isLoaded ? unloadModel(id) : loadModel(id))
        .then(() => this.#look())
        .catch((thrown: unknown) => {
          this.#orderFault = faultText(thrown);
        })
        .finally(() => {
          this.#isBusy = false;
          this.#changed();
        });
    };
    const busyLabel = isLoaded ? T.unloading : T.loading;
    return html`<button type="button" ?disabled=${!usable || this.#isBusy} @click=${click}>
      ${this.#isBusy ? busyLabel : label}
    </button>`;
  }

  async #look(): Promise<void> {
    this.#model = (await listModels()).models.find(({ id }) => id === this.#id) ?? null;
    if (this.#model === null) return;
    try {
      this.#pictures = await listAvatarPictures(this.#id);
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.code !== 'avatar_picture_unknown') throw thrown;
      this.#noPictures = faultText(thrown);
    }
  }
}

function gallery({ width, height, total, pictures }: AvatarPicturesView): TemplateResult {
  return html`
    <p>${T.facts(width, height, total)}</p>
    <ul class="gallery">
      ${pictures.map(({ index, rect: { x1, y1, x2, y2 }, link }) => {
        const label = T.picture(index, `${x1}, ${y1} – ${x2}, ${y2}`);
        return html`<li><figure>
          <svg viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
            ${svg`<image href=${link} width=${width} height=${height}></image>
            <rect x=${x1} y=${y1} width=${x2 - x1} height=${y2 - y1}></rect>`}
          </svg>
          <figcaption>${label}</figcaption>
        </figure></li>`;
      })}
    </ul>
  `;
}

function places({ loaded_on }: ModelView): TemplateResult {
  if (loaded_on.length === 0) return html`<p>${T.notLoaded}</p>`;
  return html`<ul>${loaded_on.map(
    ({ gpu, memory_mb, ms_per_frame, loaded_at }) =>
      html`<li>${TEXTS.farm.gpu(gpu)}: ${T.place(megabytes(memory_mb), ms_per_frame.toFixed(1), ago(loaded_at))}</li>`,
  )}</ul>`;
}
