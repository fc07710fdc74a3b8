import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { listModels } from '../farm.ts';
import { clock } from '../format.ts';
import { avatarChoice } from '../parts/avatar-choice.ts';
import { type Recording, startRecording } from '../parts/recorder.ts';
import { Sending } from '../parts/sending.ts';
import { TEXTS } from '../texts.ts';
import { faultText, type View } from '../view.ts';

const T = TEXTS.make;
/** Fields that go to the farm as they are. */
const OPTIONS = ['background_mode', 'audio_lead_ms', 'audio_tail_ms', 'from_neutral'];
const LONGEST_SILENCE_MS = 60_000;
const PRIORITIES = Object.keys(T.priorities) as RenderView['priority'][];

/** Drop or record a sound, choose an avatar, render. */
export function makeView(): View {
  const view = new MakeView();
  return { title: T.title, template: () => view.template(), open: (changed, closed) => view.open(changed, closed) };
}

class MakeView {
  #changed: () => void = () => {};
  #models: readonly ModelView[] | undefined;
  #modelId = '';
  #sound: File | undefined;
  /** Address under which the page plays the sound; given back when it is another, or the page is left. */
  #soundUrl = '';
  #recording: Recording | undefined;
  readonly #sending = new Sending(() => this.#changed());
  #isOver = false;
  #fault = '';

  open(changed: () => void, closed: AbortSignal): void {
    this.#changed = changed;
    closed.addEventListener('abort', () => this.#close());
    listModels().then(
      ({ models }) => {
        this.#models = models;
        this.#modelId = models.find(({ usable }) => usable)?.id ?? '';
        changed();
      },
      (thrown) => this.#fail(thrown),
    );
  }

  template(): TemplateResult {
    return html`
      <form class="make" @submit=${this.#submit} @dragover=${this.#over} @dragleave=${this.#left} @drop=${this.#dropped}>
        ${this.#sound ? this.#chosen(this.#sound) : this.#drop()}
        <fieldset class="avatars">
          <legend>${T.avatar}</legend>
          ${avatarChoice(this.#models, this.#modelId, (id) => {
            this.#modelId = id;
            this.#changed();
          })}
        </fieldset>
        ${moreOptions()}
        <p class="fault" role="alert">${this.#fault || this.#sending.fault}</p>
        <button class="main" ?disabled=${this.#sending.isBusy || this.#recording !== undefined}>
          ${this.#sending.label(T.submit)}
        </button>
      </form>
    `;
  }

  #drop(): TemplateResult {
    return html`
      <div class="drop ${this.#isOver ? 'over' : ''}">
        <p>
          ${T.drop}
          <label class="button">${T.choose}<input type="file" accept="audio/*,video/*" @change=${this.#picked} /></label>
        </p>
        <button type="button" @click=${this.#record}>${this.#recordLabel()}</button>
      </div>
    `;
  }

  #chosen(sound: File): TemplateResult {
    return html`
      <div class="drop taken ${this.#isOver ? 'over' : ''}">
        <h2>${T.sound}</h2>
        <p>${sound.name}</p>
        <audio controls src=${this.#soundUrl}></audio>
        <button type="button" @click=${() => this.#take(undefined)}>${T.another}</button>
      </div>
    `;
  }

  #recordLabel(): string {
    if (!this.#recording) return T.record;
    return T.stop(clock((performance.now() - this.#recording.startedAtMs) / 1000));
  }

  readonly #picked = (event: Event) => this.#take((event.target as HTMLInputElement).files?.[0]);

  readonly #over = (event: DragEvent) => {
    event.preventDefault();
    this.#showOver(true);
  };

  readonly #left = () => this.#showOver(false);

  #showOver(isOver: boolean): void {
    if (this.#isOver === isOver) return;
    this.#isOver = isOver;
    this.#changed();
  }

  readonly #dropped = (event: DragEvent) => {
    event.preventDefault();
    this.#isOver = false;
    const sound = event.dataTransfer?.files[0];
    if (sound) this.#take(sound);
    else this.#changed();
  };

  readonly #record = async () => {
    try {
      if (this.#recording) {
        const blob = await this.#recording.stop();
        this.#recording = undefined;
        this.#take(new File([blob], recordingName(blob.type), { type: blob.type }));
        return;
      }
      this.#recording = await startRecording();
      this.#tick();
    } catch (thrown) {
      this.#fault = T.noMicrophone((thrown as Error).message);
      this.#changed();
    }
  };

  /** Shows the length of the recording while it runs. */
  #tick(): void {
    this.#changed();
    if (this.#recording) setTimeout(() => this.#tick(), 500);
  }

  readonly #submit = async (event: Event) => {
    event.preventDefault();
    if (!this.#sound) {
      this.#fault = T.needSound;
      return this.#changed();
    }
    const sound = this.#sound;
    const fields = new FormData(event.target as HTMLFormElement);
    const textIn = (name: string) => String(fields.get(name) ?? '');
    const priority = textIn('priority') as RenderView['priority'];
    const options = Object.fromEntries(OPTIONS.map((name) => [name, textIn(name)]));
    const labels = readLabels(textIn('labels'));
    await this.#sending.send(() => ({ sound, modelId: this.#modelId, priority, labels, options }));
  };

  #take(sound: File | undefined): void {
    URL.revokeObjectURL(this.#soundUrl);
    this.#sound = sound;
    this.#soundUrl = sound ? URL.createObjectURL(sound) : '';
    this.#fault = '';
    this.#changed();
  }

  #fail(thrown: unknown): void {
    this.#fault = faultText(thrown);
    this.#changed();
  }

  #close(): void {
    URL.revokeObjectURL(this.#soundUrl);
    this.#recording?.stop().catch((thrown: Error) => console.warn('the recording was not ended:', thrown.message));
  }
}

/** What most renders leave as it is; read from the form when it is sent. */
function moreOptions(): TemplateResult {
  return html`
    <details>
      <summary>${T.more}</summary>
      <div class="filters">
        <label>${T.labels}<input name="labels" placeholder="project=spring, take=2" /></label>
        <label>${T.priority}
          <select name="priority">
            ${PRIORITIES.map((name) => html`<option value=${name} ?selected=${name === 'normal'}>${T.priorities[name]}</option>`)}
          </select>
        </label>
        <label>${T.walk}
          <select name="background_mode">
            ${Object.entries(T.walks).map(([value, words]) => html`<option value=${value}>${words}</option>`)}
          </select>
        </label>
        <label>${T.lead}<input name="audio_lead_ms" type="number" min="0" max=${LONGEST_SILENCE_MS} /></label>
        <label>${T.tail}<input name="audio_tail_ms" type="number" min="0" max=${LONGEST_SILENCE_MS} /></label>
        <label class="tick"><input name="from_neutral" type="checkbox" value="true" />${T.fromNeutral}</label>
      </div>
    </details>
  `;
}

/** "project=spring, take=2" as labels; the farm says what is wrong with them. */
function readLabels(text: string): Record<string, string> {
  const parts = text.split(',').map((part) => part.trim());
  return Object.fromEntries(
    parts.filter(Boolean).map((part) => part.split(/=(.*)/s, 2).map((side = '') => side.trim())),
  );
}

/** "audio/webm;codecs=opus" → "recording.webm". */
function recordingName(type: string): string {
  return `recording.${/^\w+\/(\w+)/.exec(type)?.[1] ?? 'webm'}`;
}
