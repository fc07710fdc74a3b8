import { html, type TemplateResult } from 'lit-html';

/** The picture of an avatar; an empty place of the same size where there is none. Its name stands beside it. */
export function portrait(modelId: string): TemplateResult {
  const src = `/v1/models/${encodeURIComponent(modelId)}/portrait`;
  return html`<span class="portrait"><img src=${src} alt="" loading="lazy" @error=${hide} /></span>`;
}

function hide(event: Event): void {
  (event.target as HTMLElement).hidden = true;
}
