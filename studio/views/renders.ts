import { html, type TemplateResult } from 'lit-html';
import type { RenderView } from '../../shared/views/render-view.ts';
import { listRenders } from '../farm.ts';
import { ago, clock } from '../format.ts';
import { portrait } from '../parts/portrait.ts';
import { statusBadge } from '../parts/status.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.renders;
const PAGE = '30';
const LOOK_EVERY_MS = 2000;

/** The list of renders, newest first. */
export function rendersView(): View {
  const view = new RendersView();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class RendersView {
  #changed: () => void = () => {};
  #newest: readonly RenderView[] | undefined;
  /** Pages below the newest one, as they were when they were asked for. */
  #older: RenderView[] = [];
  #next: string | null = null;
  #search = '';
  #status = '';
  #label = '';
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
    const known = [...(this.#newest ?? []), ...this.#older];
    const shown = known.filter((render) => this.#matches(render));
    return html`
      <form class="filters" role="search" @submit=${(event: Event) => event.preventDefault()}>
        <label>${T.search}<input type="search" .value=${this.#search} @input=${this.#searched} /></label>
        <label>${T.label}<input .value=${this.#label} @change=${this.#labelled} /></label>
        <label>${T.status}
          <select @change=${this.#filtered}>
            <option value="">${T.all}</option>
            ${Object.entries(TEXTS.status).map(([value, word]) => html`<option value=${value}>${word}</option>`)}
          </select>
        </label>
      </form>
      <p class="fault" role="status">${this.#fault}</p>
      ${this.#newest === undefined ? html`<p>${TEXTS.loading}</p>` : this.#table(shown, known.length)}
      ${this.#search !== '' && this.#next !== null ? html`<p>${T.onlyLoaded}</p>` : ''}
      ${this.#next === null ? '' : html`<button @click=${this.#more}>${T.more}</button>`}
    `;
  }

  #table(shown: readonly RenderView[], known: number): TemplateResult {
    if (known === 0) return html`<p>${T.none} <a href="#/">${T.start}</a></p>`;
    if (shown.length === 0) return html`<p>${T.noneMatch}</p>`;
    const { picture, file, avatar, status, length, when } = T.columns;
    return html`
      <table>
        <thead><tr>${[picture, file, avatar, status, length, when].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>${shown.map(row)}</tbody>
      </table>
    `;
  }

  #matches({ id, file_name, model_id }: RenderView): boolean {
    const wanted = this.#search.toLowerCase();
    return [id, file_name, model_id].some((text) => text.toLowerCase().includes(wanted));
  }

  async #look(): Promise<void> {
    const page = await listRenders(this.#query());
    this.#newest = page.renders;
    if (this.#older.length === 0) this.#next = page.next;
  }

  #query(): Record<string, string> {
    return { limit: PAGE, ...(this.#status && { status: this.#status }), ...(this.#label && { label: this.#label }) };
  }

  readonly #searched = (event: Event) => {
    this.#search = (event.target as HTMLInputElement).value;
    this.#changed();
  };

  readonly #labelled = (event: Event) => {
    this.#label = (event.target as HTMLInputElement).value.trim();
    this.#again();
  };

  readonly #filtered = (event: Event) => {
    this.#status = (event.target as HTMLSelectElement).value;
    this.#again();
  };

  #again(): void {
    this.#newest = undefined;
    this.#older = [];
    this.#attempt(() => this.#look());
  }

  readonly #more = () =>
    this.#attempt(async () => {
      const page = await listRenders(this.#query(), this.#next ?? undefined);
      this.#older.push(...page.renders);
      this.#next = page.next;
    });

  #attempt(work: () => Promise<void>): void {
    this.#changed();
    work()
      .catch((thrown: unknown) => {
        this.#fault = faultText(thrown);
      })
      .finally(this.#changed);
  }
}

/** The first frame of its contact sheet, which has four in a row; of an unfinished one its avatar. */
function thumbnail({ model_id, links }: RenderView): TemplateResult {
  if (links.contact_sheet === null) return portrait(model_id);
  return html`<span class="portrait sheet"><img src=${links.contact_sheet} alt="" loading="lazy" /></span>`;
}

function row(render: RenderView): TemplateResult {
  const { id, file_name, model_id, status, audio_seconds, created_at } = render;
  return html`
    <tr>
      <td>${thumbnail(render)}</td>
      <td><a href=${`#/renders/${id}`}>${file_name}</a></td>
      <td>${model_id}</td>
      <td>${statusBadge(status)}</td>
      <td>${audio_seconds === null ? '' : clock(audio_seconds)}</td>
      <td><time datetime=${created_at}>${ago(created_at)}</time></td>
    </tr>
  `;
}
