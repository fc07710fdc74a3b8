import { html, render, type TemplateResult } from 'lit-html';
import type { SessionView } from '../shared/views/session-view.ts';
import { getSession } from './farm.ts';
import { TEXTS } from './texts.ts';
import type { View } from './view.ts';
import { avatarView } from './views/avatar.ts';
import { avatarsView } from './views/avatars.ts';
import { farmView } from './views/farm.ts';
import { liveView } from './views/live.ts';
import { makeView } from './views/make.ts';
import { renderView } from './views/render.ts';
import { rendersView } from './views/renders.ts';

/** The studio: one page, whose address after # says what it shows. */

interface Page {
  readonly path: string;
  readonly label: string;
}

const PAGES: readonly Page[] = [
  { path: '/', label: TEXTS.nav.make },
  { path: '/live', label: TEXTS.nav.live },
  { path: '/renders', label: TEXTS.nav.renders },
  { path: '/avatars', label: TEXTS.nav.avatars },
  { path: '/farm', label: TEXTS.nav.farm },
];

const root = document.querySelector<HTMLElement>('#studio') as HTMLElement;
let left = new AbortController();
let redraw = () => {};
/** Undefined until the farm has said who this is. */
let session: SessionView | undefined;

addEventListener('hashchange', show);
show();
getSession().then(
  (found) => {
    session = found;
    redraw();
  },
  (thrown: unknown) => console.warn('whose key this is could not be asked:', thrown),
);

function show(): void {
  left.abort();
  left = new AbortController();
  const closed = left.signal;
  const path = location.hash.slice(1) || '/';
  const view = viewAt(path);
  document.title = `${view.title} · ${TEXTS.name}`;
  const draw = () => {
    if (!closed.aborted) render(shell(view, path), root);
  };
  redraw = draw;
  draw();
  view.open?.(draw, closed);
  scrollTo(0, 0);
}

function viewAt(path: string): View {
  const [, room = '', id = ''] = path.split('/').map(decodeURIComponent);
  if (room === '') return makeView();
  if (room === 'live') return liveView();
  if (room === 'renders') return id === '' ? rendersView() : renderView(id);
  if (room === 'avatars') return id === '' ? avatarsView() : avatarView(id);
  if (room === 'farm') return farmView();
  return { title: TEXTS.name, template: () => html`<p>${TEXTS.notFound}</p>` };
}

function shell(view: View, path: string): TemplateResult {
  const current = PAGES.findLast((page) => path === page.path || (page.path !== '/' && path.startsWith(page.path)));
  return html`
    <a class="skip" href="#content" @click=${toContent}>${TEXTS.skip}</a>
    <header>
      <a class="name" href="#/"><img src="/studio/icon.svg" alt="" width="28" height="28" />${TEXTS.name}</a>
      <nav aria-label=${TEXTS.nav.label}>
        ${PAGES.map((page) => link(page, page === current))}
        ${session?.role === 'render' ? '' : html`<a href="/dashboard">${TEXTS.links.dashboard}</a>`}
        <a href="/docs">${TEXTS.links.docs}</a>
      </nav>
      ${session?.signed_in ? signOut(session.key ?? '') : ''}
    </header>
    <main id="content" tabindex="-1">
      <h1>${view.title}</h1>
      ${view.template()}
    </main>
  `;
}

function signOut(key: string): TemplateResult {
  return html`<form class="sign-out" method="post" action="/dashboard/sign-out">
    <span>${key}</span> <button>${TEXTS.signOut}</button>
  </form>`;
}

function link({ path, label }: Page, isCurrent: boolean): TemplateResult {
  return html`<a href=${`#${path}`} aria-current=${isCurrent ? 'page' : 'false'}>${label}</a>`;
}

/** The address after # is the page's: a jump must not change it. */
function toContent(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('#content')?.focus();
}
