import { html, type TemplateResult } from 'lit-html';
import type { RenderPage, RenderView } from '../../shared/views/render-view.ts';
import { listRenders } from '../farm.ts';
import { ago, clock } from '../format.ts';
import { statusBadge } from '../parts/status.ts';
import { thumbnail } from '../parts/thumbnail.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.renders;
const PAGE = '30';
const LOOK_EVERY_MS = 2000;
/** A word is looked for once nothing has been typed for so long. */
const TYPED_MS = 250;
/** Characters that the farm searches for. */
const SEARCH_MAX = 100;

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
  #typing: ReturnType<typeof setTimeout> | undefined;
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
    return html`
      <form class="filters" role="search" @submit=${(event: Event) => event.preventDefault()}>
        <label>${T.search}<input type="search" maxlength=${SEARCH_MAX} @input=${this.#searched} /></label>
        <label>${T.label}<input @change=${this.#labelled} /></label>
        <label>${T.status}
          <select @change=${this.#filtered}>
            <option value="">${T.all}</option>
            ${Object.entries(TEXTS.status).map(([value, word]) => html`<option value=${value}>${word}</option>`)}
          </select>
        </label>
      </form>
      <p class="fault" role="status">${this.#fault}</p>
      ${this.#newest === undefined ? html`<p>${TEXTS.loading}</p>` : this.#table(known)}
      ${this.#next === null ? '' : html`<button @click=${this.#more}>${T.more}</button>`}
    `;
  }

  #table(shown: readonly RenderView[]): TemplateResult {
    const isFiltered = this.#search + this.#status + this.#label !== '';
    // The farm looks through so many at a time: there may be one further back.
    if (shown.length === 0 && this.#next !== null) return html`<p>${T.noneSoFar}</p>`;
    if (shown.length === 0 && isFiltered) return html`<p>${T.noneMatch}</p>`;
    if (shown.length === 0) return html`<p>${T.none} <a href="#/">${T.start}</a></p>`;
    const { picture, file, avatar, status, length, when } = T.columns;
    return html`
      <table>
        <thead><tr>${[picture, file, avatar, status, length, when].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>${shown.map(row)}</tbody>
      </table>
    `;
  }

  async #look(): Promise<void> {
    const page = await this.#ask();
    if (!page) return;
    this.#newest = page.renders;
    if (this.#older.length === 0) this.#next = page.next;
  }

  /** A page; undefined when something else is wanted by the time it comes. */
  async #ask(next?: string): Promise<RenderPage | undefined> {
    const query = this.#query();
    const page = await listRenders(query, next);
    return JSON.stringify(query) === JSON.stringify(this.#query()) ? page : undefined;
  }

  #query(): Record<string, string> {
    const asked = { search: this.#search, status: this.#status, label: this.#label };
    return { limit: PAGE, ...Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== '')) };
  }

  readonly #searched = (event: Event) => {
    this.#search = (event.target as HTMLInputElement).value.trim();
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#again(), TYPED_MS);
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
    this.#older = [];
    this.#attempt(() => this.#look());
  }

  readonly #more = () =>
    this.#attempt(async () => {
      const page = await this.#ask(this.#next ?? undefined);
      if (!page) return;
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
