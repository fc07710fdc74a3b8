import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import { TEXTS } from '../texts.ts';
import { portrait } from './portrait.ts';

/** One of the farm's avatars, as a group of radio buttons. @param models undefined while they are not known. */
export function avatarChoice(
  models: readonly ModelView[] | undefined,
  chosen: string,
  choose: (modelId: string) => void,
): TemplateResult {
  if (!models) return html`<p>${TEXTS.loading}</p>`;
  if (models.length === 0) return html`<p>${TEXTS.make.noAvatars}</p>`;
  return html`<div class="choices">${models.map((model) => choice(model, model.id === chosen, choose))}</div>`;
}

function choice({ id, usable }: ModelView, isChosen: boolean, choose: (modelId: string) => void): TemplateResult {
  return html`
    <label class="choice ${isChosen ? 'chosen' : ''}">
      <input type="radio" name="avatar" .value=${id} .checked=${isChosen} ?disabled=${!usable} @change=${() => choose(id)} />
      ${portrait(id)}
      <span>${id}${usable ? '' : html` <small>(${TEXTS.make.unusable})</small>`}</span>
    </label>
  `;
}
