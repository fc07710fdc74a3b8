import { createHash } from 'node:crypto';
import type { Role } from '../../../shared/api-keys.ts';
import { mayDo } from '../../access/caller.ts';
import { policy } from '../security-headers.ts';

/** The page on which a browser signs in with an API key, and signs out. It has no script. */

export const SIGN_IN = '/dashboard/sign-in';
export const SIGN_OUT = '/dashboard/sign-out';
const STUDIO = '/';
/** More than any page of the farm has. */
const LONGEST_PATH = 2000;

/** The address of the form, which brings the browser back to `to`, a path on the farm. */
export function signInFor(to: string): string {
  return `${SIGN_IN}?${new URLSearchParams({ to })}`;
}

/** Where to go after signing in: a path of the farm's own, whatever was asked for; else the studio. */
export function pathOnFarm(to: unknown): string {
  const asked = String(to ?? '');
  const base = 'http://farm.invalid';
  if (!asked.startsWith('/') || asked.length > LONGEST_PATH || !URL.canParse(asked, base)) return STUDIO;
  const { origin, pathname, search, hash } = new URL(asked, base);
  // What the browser would read as another host: `//there`.
  return origin === base && !pathname.startsWith('//') ? pathname + search + hash : STUDIO;
}

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; background: #151a21; color: #e6e9ee; display: grid; place-items: center; min-height: 100vh; margin: 0 }
main { width: 22rem; padding: 2rem; background: #1e252f; border-radius: .75rem }
h1 { font-size: 1.25rem; margin: 0 0 1rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input { margin: .25rem 0 1rem; padding: .5rem; border: 1px solid #465468; border-radius: .375rem; background: #151a21; color: inherit }
button { padding: .5rem; border: 0; border-radius: .375rem; background: #3b82f6; color: #fff; cursor: pointer }
p { margin: 0 0 1rem } a { color: #8ab4ff } .fault { color: #ff9d9d }
`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');
export const SIGN_IN_POLICY = policy({ 'style-src': `'sha256-${STYLE_HASH}'`, 'form-action': "'self'" });

/**
 * The form for a key.
 * @param to where the browser goes from here, a path on the farm.
 * @param fault why signing in failed, as text.
 */
export function signInPage(to: string, fault = ''): string {
  return page(`
<form method="post" action="${SIGN_IN}">
<input type="hidden" name="to" value="${escapeHtml(to)}">
${fault && `<p class="fault" role="alert">${escapeHtml(fault)}</p>`}
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>`);
}

/** For a browser that is signed in. @param keyName whose key it is. */
export function signedInPage(keyName: string, role: Role): string {
  const dashboard = mayDo(role, 'operate') ? ' · <a href="/dashboard">Queues</a>' : '';
  return page(`
<p>Signed in with the key “${escapeHtml(keyName)}”.</p>
<p><a href="${STUDIO}">Studio</a>${dashboard}</p>
<form method="post" action="${SIGN_OUT}"><button>Sign out</button></form>`);
}

function page(content: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Lipsync Farm</title>
<style>${STYLE}</style>
</head>
<body><main><h1>Lipsync Farm</h1>${content}
</main></body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
