import { html, type TemplateResult } from 'lit-html';
import type { Quality } from '../../shared/views/quality-view.ts';
import { TEXTS } from '../texts.ts';

const T = TEXTS.quality;

/** How good a render looks, in words. */
export function qualityFacts({ mouth, seam, silence, findings }: Quality): TemplateResult {
  const words: Readonly<Record<string, string>> = T.findings;
  return html`
    <h2>${T.title}</h2>
    ${findings.length === 0 ? html`<p>${T.good}</p>` : html`<ul>${findings.map((name) => html`<li class="fault">${words[name] ?? name}</li>`)}</ul>`}
    <dl>
      <dt>${T.together}</dt><dd>${mouth.correlation === null ? T.unknown : T.correlation(mouth.correlation)}</dd>
      <dt>${T.lag}</dt><dd>${mouth.lag_frames === null ? T.unknown : T.frames(mouth.lag_frames)}</dd>
      <dt>${T.seam}</dt><dd>${T.seamAdded(seam.added)}</dd>
      <dt>${T.silence}</dt><dd>${silence.stillness === null ? T.unknown : T.stillness(silence.stillness)}</dd>
    </dl>
  `;
}
