/** Shoulders and clothes, in head coordinates, as SVG. */

/** Gradients that `torsoSvg` refers to. */
export const TORSO_DEFS = `
  <linearGradient id="jacket" x1="0" y1="0" x2="1" y2=".6">
    <stop offset="0" stop-color="#3b7580"/><stop offset=".5" stop-color="#285a66"/><stop offset="1" stop-color="#1b404c"/>
  </linearGradient>
  <linearGradient id="lapel" x1="0" y1="0" x2="1" y2=".4">
    <stop offset="0" stop-color="#35707b"/><stop offset="1" stop-color="#21505b"/>
  </linearGradient>
  <linearGradient id="blouse" x1="0" y1="0" x2="1" y2="1">
    <stop offset="0" stop-color="#fffaf2"/><stop offset="1" stop-color="#e6d9cd"/>
  </linearGradient>`;

/** Jacket, blouse and a clip-on microphone; `breath` lifts them, in pixels. */
export function torsoSvg(breath: number): string {
  return `<g transform="translate(0 ${(-breath).toFixed(3)})">
    <path d="M-92 246 C-60 262 -40 300 0 330 C40 300 60 262 92 246 L120 480 L-120 480 Z" fill="url(#blouse)"/>
    <path d="M-58 262 C-44 304 -22 322 0 324 C22 322 44 304 58 262" fill="none" stroke="#d9c9bb" stroke-width="2.5"/>
    <path d="M-22 330 C-26 380 -30 420 -30 480 M26 328 C30 370 32 410 34 480" stroke="#d8c9bc" stroke-width="3" fill="none" opacity=".7"/>
    <path d="M-82 236 C-110 254 -196 266 -240 300 C-282 334 -304 400 -314 480 L-18 480 C-34 420 -66 330 -82 236 Z" fill="url(#jacket)"/>
    <path d="M82 236 C110 254 196 266 240 300 C282 334 304 400 314 480 L18 480 C34 420 66 330 82 236 Z" fill="url(#jacket)"/>
    <path d="M240 300 C282 334 304 400 314 480 L232 480 C240 420 246 350 240 300 Z" fill="#12313b" opacity=".35"/>
    <path d="M-240 300 C-282 334 -304 400 -314 480 L-256 480 C-248 420 -250 350 -240 300 Z" fill="#5a97a0" opacity=".22"/>
    ${lapel(-1)}${lapel(1)}
    <g transform="translate(-78 372) rotate(-14)"><rect x="-5" y="-13" width="10" height="22" rx="5" fill="#23282c"/>
      <rect x="-5" y="-13" width="10" height="9" rx="4.5" fill="#4b545a"/><path d="M0 9 C0 30 -10 50 -8 90" stroke="#1c2a2f" stroke-width="2" fill="none"/></g>
  </g>`;
}

/** One lapel with its notch; side −1 is at the viewer's left. */
function lapel(side: -1 | 1): string {
  return `<g transform="scale(${-side} 1)">
    <path d="M-80 234 C-104 252 -122 268 -132 296 L-106 318 L-128 334 C-104 396 -60 440 -20 480 C-40 420 -68 330 -80 234 Z" fill="#0f2c35" opacity=".28" transform="translate(-5 6)"/>
    <path d="M-80 234 C-104 252 -122 268 -132 296 L-106 318 L-128 334 C-104 396 -60 440 -18 480 C-34 420 -66 330 -80 234 Z" fill="url(#lapel)"/>
    <path d="M-106 318 L-86 302" stroke="#173f4a" stroke-width="2"/>
  </g>`;
}
