import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import { listModels } from '../farm.ts';
import { LiveSession } from '../live/live-session.ts';
import { avatarChoice } from '../parts/avatar-choice.ts';
import { TEXTS } from '../texts.ts';
import { faultText, type View } from '../view.ts';

const T = TEXTS.live;

/** The microphone speaks through an avatar, live. */
export function liveView(): View {
  const view = new LivePage();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class LivePage {
  #changed: () => void = () => {};
  #models: readonly ModelView[] | undefined;
  #modelId = '';
  #session: LiveSession | undefined;
  #isStarting = false;
  #isHeard = false;
  #said = '';
  #fault = '';

  open(changed: () => void, closed: AbortSignal): void {
    this.#changed = changed;
    closed.addEventListener('abort', () => this.#stop());
    listModels().then(
      ({ models }) => {
        this.#models = models;
        this.#modelId = models.find(({ usable }) => usable)?.id ?? '';
        changed();
      },
      (thrown: unknown) => {
        this.#fault = faultText(thrown);
        changed();
      },
    );
  }

  template(): TemplateResult {
    return html`
      <p>${T.about}</p>
      <fieldset class="avatars" ?disabled=${this.#session !== undefined}>
        <legend>${TEXTS.make.avatar}</legend>
        ${avatarChoice(this.#models, this.#modelId, (id) => {
          this.#modelId = id;
          this.#changed();
        })}
      </fieldset>
      <label><input type="checkbox" .checked=${this.#isHeard} ?disabled=${this.#session !== undefined} @change=${this.#hear} /> ${T.monitor}</label>
      <div class="orders">${this.#orders()}</div>
      <p class="fault" role="alert">${this.#fault}</p>
      <p role="status">${this.#said}</p>
      <canvas class="picture" role="img" aria-label=${T.canvas} ?hidden=${!this.#session && !this.#isStarting}></canvas>
    `;
  }

  #orders(): TemplateResult {
    if (!this.#session) {
      const isDisabled = this.#isStarting || this.#modelId === '';
      return html`<button type="button" class="main" ?disabled=${isDisabled} @click=${() => this.#start()}>${T.start}</button>`;
    }
    return html`
      <button type="button" @click=${() => this.#interrupt()}>${T.interrupt}</button>
      <button type="button" @click=${() => this.#stop()}>${T.stop}</button>
    `;
  }

  readonly #hear = (event: Event) => {
    this.#isHeard = (event.target as HTMLInputElement).checked;
  };

  async #start(): Promise<void> {
    this.#isStarting = true;
    this.#tell(T.starting);
    const canvas = document.querySelector('canvas') as HTMLCanvasElement;
    try {
      const onError = ({ message }: Error) => this.#end(message);
      this.#session = await LiveSession.open({ canvas, modelId: this.#modelId, onError });
      await this.#session.listen({ monitor: this.#isHeard });
      this.#tell(T.speaks);
    } catch (thrown) {
      this.#end((thrown as Error).message);
    } finally {
      this.#isStarting = false;
      this.#changed();
    }
  }

  #interrupt(): void {
    this.#session?.interrupt().then(
      (frame) => this.#tell(T.interrupted(frame)),
      (error: Error) => this.#end(error.message),
    );
  }

  #stop(): void {
    this.#end('');
  }

  #end(fault: string): void {
    this.#session?.close().catch(reportError);
    this.#session = undefined;
    this.#fault = fault;
    this.#said = '';
    this.#changed();
  }

  #tell(text: string): void {
    this.#said = text;
    this.#fault = '';
    this.#changed();
  }
}
