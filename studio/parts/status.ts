import { html, type TemplateResult } from 'lit-html';
import type { RenderView } from '../../shared/views/render-view.ts';
import { TEXTS } from '../texts.ts';

const ENDED: ReadonlySet<RenderView['status']> = new Set(['completed', 'failed', 'cancelled']);

export function hasEnded({ status }: RenderView): boolean {
  return ENDED.has(status);
}

/** Whether an avatar can be used, as a word in its colour. */
export function usableBadge(isUsable: boolean): TemplateResult {
  const word = isUsable ? TEXTS.avatars.usable : TEXTS.make.unusable;
  return html`<span class="badge ${isUsable ? 'ready' : 'failed'}">${word}</span>`;
}

/** The status as a word in its colour. */
export function statusBadge(status: RenderView['status']): TemplateResult {
  return html`<span class="badge ${status}">${TEXTS.status[status]}</span>`;
}
