import { html, type TemplateResult } from 'lit-html';
import type { ModelView } from '../../shared/views/models-view.ts';
import { listModels } from '../farm.ts';
import { portrait } from '../parts/portrait.ts';
import { usableBadge } from '../parts/status.ts';
import { TEXTS } from '../texts.ts';
import { keep, type View } from '../view.ts';

const T = TEXTS.avatars;
const LOOK_EVERY_MS = 3000;

/** Every configured avatar: how it looks, usable or not, and where it is loaded. */
export function avatarsView(): View {
  let models: readonly ModelView[] | undefined;
  let fault = '';
  const look = async () => {
    models = (await listModels()).models;
  };
  return {
    title: T.title,
    template: () => html`
      <p class="fault" role="status">${fault}</p>
      ${models === undefined ? html`<p>${TEXTS.loading}</p>` : ''}
      ${models?.length === 0 ? html`<p>${TEXTS.make.noAvatars}</p>` : ''}
      <ul class="cards">${(models ?? []).map(card)}</ul>
    `,
    open(changed, closed) {
      const tell = (text: string) => {
        fault = text;
        changed();
      };
      keep(look, { everyMs: LOOK_EVERY_MS, closed, tell }).catch(reportError);
    },
  };
}

function card({ id, usable, problems, loaded_on, requests }: ModelView): TemplateResult {
  const gpus = loaded_on.map(({ gpu }) => TEXTS.farm.gpu(gpu));
  return html`
    <li class="card">
      ${portrait(id)}
      <h2><a href=${`#/avatars/${encodeURIComponent(id)}`}>${id}</a> ${usableBadge(usable)}</h2>
      ${problems.length > 0 ? html`<p class="fault">${problems[0]}</p>` : ''}
      <dl>
        <dt>${T.loadedOn}</dt><dd>${gpus.join(', ') || TEXTS.avatar.notLoaded}</dd>
        <dt>${T.requests}</dt><dd>${requests}</dd>
      </dl>
    </li>
  `;
}
