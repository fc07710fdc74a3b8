import { html, type TemplateResult } from 'lit-html';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { TEXTS } from '../texts.ts';
import { hasEnded } from './status.ts';

const T = TEXTS.render;

/** The frames of a render without a video, as the farm sends them: while they are made, and again when one wants to. */
export class FramePlayer {
  readonly #changed: () => void;
  #isPlaying = false;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  template(render: RenderView): TemplateResult | string {
    const { id, output, range, frames, links, status } = render;
    if (isVideo(output) || frames.done === 0 || (hasEnded(render) && status !== 'completed')) return '';
    const still = links.frames?.replace('{index}', String(range?.from ?? 0));
    const isMoving = this.#isPlaying || still === undefined;
    const click = () => {
      this.#isPlaying = !this.#isPlaying;
      this.#changed();
    };
    return html`
      <img class="picture frames" src=${isMoving ? `/v1/renders/${id}/preview?as=mjpeg` : still} alt=${T.framesOf} />
      ${still === undefined ? '' : html`<p><button type="button" @click=${click}>${this.#isPlaying ? T.stopFrames : T.playFrames}</button></p>`}
    `;
  }

  /** Has the browser wait for no further frames, which it does also for a picture that is gone from the page. */
  close(): void {
    for (const image of document.querySelectorAll('img.frames')) image.removeAttribute('src');
  }
}
