import { html, type TemplateResult } from 'lit-html';
import { formOf, isVideo } from '../../shared/renders/outputs.ts';
import type { Quality } from '../../shared/views/quality-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { cancelRender, getReceipt, getRender, removeRender, retryRender } from '../farm.ts';
import { ago, clock, duration } from '../format.ts';
import { AgainForm } from '../parts/again.ts';
import { FramePlayer } from '../parts/frame-player.ts';
import { NewestPicture } from '../parts/newest-picture.ts';
import { qualityFacts } from '../parts/quality.ts';
import { hasEnded, statusBadge } from '../parts/status.ts';
import { RenderNews } from '../render-news.ts';
import { TEXTS } from '../texts.ts';
import { faultText, keep, type View } from '../view.ts';

const T = TEXTS.render;
const LOOK_EVERY_MS = 500;

/** One render: its newest picture and progress while it is made, then its video. */
export function renderView(id: string): View {
  const view = new RenderPage(id);
  return {
    get title() {
      return view.title;
    },
    template: () => view.template(),
    open: (changed, closed) => view.open(changed, closed),
  };
}

class RenderPage {
  readonly #id: string;
  #changed: () => void = () => {};
  #render: RenderView | undefined;
  readonly #picture = new NewestPicture();
  readonly #frames = new FramePlayer(() => this.#changed());
  #fault = '';
  #orderFault = '';

  #quality: Quality | undefined;
  #again: AgainForm | undefined;

  constructor(id: string) {
    this.#id = id;
  }

  get title(): string {
    return this.#render?.file_name ?? this.#id;
  }

  open(changed: () => void, closed: AbortSignal): void {
    this.#changed = changed;
    const tell = (fault: string) => {
      this.#fault = fault;
      changed();
    };
    const ended = new AbortController();
    const until = AbortSignal.any([closed, ended.signal]);
    const look = async () => {
      this.#render = await getRender(this.#id);
      if (hasEnded(this.#render)) {
        ended.abort();
        await this.#end(this.#render);
      } else if (this.#render.frames.done > 0 && isVideo(this.#render.output)) await this.#picture.look(this.#id);
    };
    closed.addEventListener('abort', () => {
      this.#picture.forget();
      this.#frames.close();
    });
    const news = new RenderNews(this.#id, until);
    const wait = (ms: number) => news.next(ms);
    keep(look, { everyMs: LOOK_EVERY_MS, closed: until, tell, wait }).catch(reportError);
  }

  /** What is known of a render once it has ended. */
  async #end({ links }: RenderView): Promise<void> {
    this.#again ??= new AgainForm(this.#changed);
    if (links.receipt) this.#quality = (await getReceipt(this.#id)).quality ?? undefined;
  }

  template(): TemplateResult {
    const render = this.#render;
    return html`
      <p><a href="#/renders">${T.back}</a></p>
      <p class="fault" role="alert">${this.#fault}${this.#orderFault}</p>
      ${render ? this.#page(render) : html`<p>${TEXTS.loading}</p>`}
    `;
  }

  #page(render: RenderView): TemplateResult {
    const labels = Object.entries(render.labels).map(([name, value]) => `${name}=${value}`);
    return html`
      <p>${statusBadge(render.status)} <a href=${`#/avatars/${encodeURIComponent(render.model_id)}`}>${render.model_id}</a></p>
      ${render.error ? html`<p class="fault">${render.error.message}. ${render.error.remedy} <code>${render.error.code}</code></p>` : ''}
      ${render.waiting ? html`<p class="fault">${T.waits}: ${render.waiting.message}</p>` : ''}
      ${hasEnded(render) ? '' : this.#progress(render)}
      ${render.links.video ? this.#video(render) : ''}
      ${this.#frames.template(render)}
      <div class="orders">${this.#orders(render)}</div>
      ${this.#again ? html`<h2>${TEXTS.again.title}</h2>${this.#again.template(render)}` : ''}
      ${this.#quality ? qualityFacts(this.#quality) : ''}
      ${pictures(render)}
      ${timings(render)}
      <h2>${T.facts}</h2>
      <dl>
        <dt>${T.id}</dt><dd><code>${render.id}</code></dd>
        ${render.priority === 'normal' ? '' : html`<dt>${T.priority}</dt><dd>${TEXTS.make.priorities[render.priority]}</dd>`}
        ${labels.length > 0 ? html`<dt>${T.labels}</dt><dd>${labels.join(', ')}</dd>` : ''}
        <dt>${T.made}</dt><dd><time datetime=${render.created_at}>${ago(render.created_at)}</time></dd>
      </dl>
    `;
  }

  #progress({ frames, frames_per_second, eta_seconds }: RenderView): TemplateResult {
    const total = frames.total ?? 0;
    const facts = [
      T.frames(frames.done, frames.total),
      ...(frames_per_second === null ? [] : [T.speed(frames_per_second)]),
      ...(eta_seconds === null ? [] : [T.eta(clock(eta_seconds))]),
    ];
    return html`
      <progress aria-label=${T.progress} max=${Math.max(1, total)} .value=${frames.done}></progress>
      <p>${facts.join(' · ')}</p>
      ${this.#picture.url ? html`<img class="picture" src=${this.#picture.url} alt=${T.preview(facts[0] ?? '')} />` : ''}
    `;
  }

  #video({ id, links, output }: RenderView): TemplateResult {
    return html`
      <video class="picture" controls playsinline aria-label=${T.video} src=${links.video ?? ''}></video>
      <p>
        <a class="button" href=${links.video ?? ''} download=${`${id}.${formOf(output).extension}`}>${T.download}</a>
        ${links.receipt ? html`<a href=${links.receipt}>${T.receipt}</a>` : ''}
      </p>
    `;
  }

  #orders(render: RenderView): TemplateResult[] {
    if (!hasEnded(render)) return [this.#button(T.cancel, () => cancelRender(this.#id))];
    const remove = async () => {
      if (!confirm(T.removeSure)) return;
      await removeRender(this.#id);
      location.hash = '/renders';
    };
    const retry = render.status === 'failed' ? [this.#button(T.retry, () => this.#retry())] : [];
    return [...retry, this.#button(T.remove, remove)];
  }

  async #retry(): Promise<void> {
    await retryRender(this.#id);
    location.reload();
  }

  #button(label: string, order: () => Promise<unknown>): TemplateResult {
    const click = () => {
      this.#orderFault = '';
      order()
        .then(async () => {
          this.#render = await getRender(this.#id);
        })
        .catch((thrown: unknown) => {
          this.#orderFault = faultText(thrown);
        })
        .finally(this.#changed);
    };
    return html`<button type="button" @click=${click}>${label}</button>`;
  }
}

function pictures({ links }: RenderView): TemplateResult[] {
  const made = [
    [links.contact_sheet, T.contactSheet],
    [links.waveform, T.waveform],
    [links.waterfall, T.waterfall],
  ] as const;
  return made.flatMap(([link, label]) => (link === null ? [] : [drawing(link, label)]));
}

/** An older render may have none: then nothing is shown. */
function drawing(link: string, label: string): TemplateResult {
  const hide = (event: Event) => (event.target as HTMLElement).closest('figure')?.setAttribute('hidden', '');
  return html`<figure class="drawing">
    <a href=${link}><img src=${link} alt=${label} loading="lazy" @error=${hide} /></a>
    <figcaption>${label}</figcaption>
  </figure>`;
}

function timings({ timings_ms }: RenderView): TemplateResult {
  const known = Object.entries(T.stages).flatMap(([stage, label]) => {
    const ms = timings_ms[stage as keyof typeof T.stages];
    return ms === null ? [] : [html`<tr><th scope="row">${label}</th><td>${duration(ms)}</td></tr>`];
  });
  if (known.length === 0) return html``;
  return html`<h2>${T.timings}</h2><table class="plain"><tbody>${known}</tbody></table>`;
}
