import { createHash } from 'node:crypto';
import { policy } from './security-headers.ts';

/** The page on which a browser signs in with an API key, and signs out. It has no script. */

export const SIGN_IN = '/dashboard/sign-in';
export const SIGN_OUT = '/dashboard/sign-out';

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

/** @param fault why signing in failed, as text. */
export function signInPage(fault = ''): string {
  return page(`
<form method="post" action="${SIGN_IN}">
${fault && `<p class="fault" role="alert">${escapeHtml(fault)}</p>`}
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>`);
}

/** For a browser that is signed in. @param keyName whose key it is. */
export function signedInPage(keyName: string): string {
  return page(`
<p>Signed in with the key “${escapeHtml(keyName)}”.</p>
<p><a href="/dashboard">Dashboard</a></p>
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
