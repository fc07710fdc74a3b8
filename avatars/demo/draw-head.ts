/** Hair, neck, ears and the face without its features, in head coordinates, as SVG. */
import { CHIN_Y } from './scene-geometry.ts';

/** Gradients and clips that the pieces below refer to. */
export const HEAD_DEFS = `
  <linearGradient id="skin" x1="0" y1="0" x2="1" y2=".35">
    <stop offset="0" stop-color="#f8d3b6"/><stop offset=".55" stop-color="#f1c3a2"/><stop offset="1" stop-color="#dda581"/>
  </linearGradient>
  <linearGradient id="neck" x1="0" y1="0" x2="1" y2="0">
    <stop offset="0" stop-color="#eebd9b"/><stop offset=".5" stop-color="#e6b08c"/><stop offset="1" stop-color="#cf9673"/>
  </linearGradient>
  <linearGradient id="hair" x1="0" y1="0" x2="1" y2=".8">
    <stop offset="0" stop-color="#7a4a35"/><stop offset=".45" stop-color="#573125"/><stop offset="1" stop-color="#3b2019"/>
  </linearGradient>
  <linearGradient id="hairBack" x1="0" y1="0" x2="1" y2="1">
    <stop offset="0" stop-color="#4f2c21"/><stop offset="1" stop-color="#2f1812"/>
  </linearGradient>
  <radialGradient id="blush"><stop offset="0" stop-color="#ee9880" stop-opacity=".34"/><stop offset="1" stop-color="#ee9880" stop-opacity="0"/></radialGradient>
  <radialGradient id="shine"><stop offset="0" stop-color="#fff3e2" stop-opacity=".55"/><stop offset="1" stop-color="#fff3e2" stop-opacity="0"/></radialGradient>
  <radialGradient id="side"><stop offset="0" stop-color="#b8714f" stop-opacity=".3"/><stop offset="1" stop-color="#b8714f" stop-opacity="0"/></radialGradient>
  <clipPath id="neckClip"><path d="${neckPath()}"/></clipPath>
  <clipPath id="faceClip"><path d="${facePath()}"/></clipPath>`;

function facePath(): string {
  return `M-113 -24 C-116 34 -108 92 -80 131 C-58 158 -28 ${CHIN_Y} 0 ${CHIN_Y} C28 ${CHIN_Y} 58 158 80 131 C108 92 116 34 113 -24 C112 -96 70 -136 0 -136 C-70 -136 -112 -96 -113 -24 Z`;
}

function neckPath(): string {
  return 'M-52 110 L-53 204 C-54 226 -70 238 -104 250 L-60 300 L0 328 L60 300 L104 250 C70 238 54 226 53 204 L52 110 Z';
}

export function backHairSvg(): string {
  return `<path d="M0 -178 C92 -180 142 -112 144 -22 C146 56 158 120 138 182 C120 204 84 206 66 192 L-66 192 C-84 206 -120 204 -138 182 C-158 120 -146 56 -144 -22 C-142 -112 -92 -180 0 -178 Z" fill="url(#hairBack)"/>
    <path d="M-126 20 C-132 80 -136 130 -122 186 M-110 120 C-112 150 -108 174 -98 194 M128 30 C134 90 136 130 124 186 M110 120 C114 150 110 174 100 194" stroke="#7d4c38" stroke-width="3" fill="none" opacity=".35" stroke-linecap="round"/>`;
}

/** The neck stands between the shoulders and the head and follows half of the head's shift. */
export function neckSvg(): string {
  return `<path d="${neckPath()}" fill="url(#neck)"/>
    <g clip-path="url(#neckClip)">
      <path d="M-90 128 C-60 182 -28 204 6 206 C40 204 66 180 96 128 Z" fill="#a9623f" opacity=".42"/>
      <path d="M-26 216 C-20 250 -12 268 -4 284 M30 214 C24 246 14 266 6 282" stroke="#c58862" stroke-width="3" fill="none" opacity=".5"/>
      <path d="M-70 262 C-46 266 -24 270 -8 284 M72 262 C46 266 24 270 10 284" stroke="#c58862" stroke-width="4" fill="none" opacity=".45" stroke-linecap="round"/>
    </g>
    <path d="M-62 250 C-44 290 -16 304 0 306 C16 304 44 290 62 250" fill="none" stroke="#d9aa55" stroke-width="1.8"/>
    <circle cx="0" cy="309" r="4.5" fill="#e5bd6b"/><circle cx="-1.2" cy="307.8" r="1.6" fill="#fff0c9"/>`;
}

/** Ears and the face's surface, with its light from the upper left. */
export function faceSvg(): string {
  return `${ear(-1)}${ear(1)}
    <path d="${facePath()}" fill="url(#skin)"/>
    <g clip-path="url(#faceClip)">
      <ellipse cx="104" cy="70" rx="72" ry="150" fill="url(#side)"/>
      <ellipse cx="-6" cy="${CHIN_Y + 6}" rx="96" ry="34" fill="url(#side)"/>
      <ellipse cx="-30" cy="-126" rx="130" ry="66" fill="url(#side)"/>
      <ellipse cx="-66" cy="56" rx="44" ry="34" fill="url(#blush)"/><ellipse cx="68" cy="56" rx="42" ry="34" fill="url(#blush)"/>
      <ellipse cx="-70" cy="36" rx="40" ry="22" fill="url(#shine)" opacity=".75"/><ellipse cx="-16" cy="-56" rx="64" ry="30" fill="url(#shine)" opacity=".8"/>
      <ellipse cx="-6" cy="152" rx="26" ry="13" fill="url(#shine)" opacity=".6"/>
    </g>`;
}

/** One ear with a small earring; side −1 is at the viewer's left. */
function ear(side: -1 | 1): string {
  return `<g transform="scale(${-side} 1)">
    <path d="M-108 -14 C-126 -26 -138 -8 -134 16 C-131 38 -124 56 -112 58 C-104 58 -104 40 -104 20 Z" fill="${side < 0 ? '#f2c5a5' : '#dba480'}"/>
    <path d="M-112 -4 C-124 -10 -130 4 -126 20 C-124 32 -120 40 -114 42" fill="none" stroke="#bd7a56" stroke-width="2.6" opacity=".7" stroke-linecap="round"/>
    <circle cx="-116" cy="64" r="5" fill="#e5bd6b"/><circle cx="-117.500" cy="62.500" r="1.800" fill="#fff3d2"/>
  </g>`;
}

/** The hair in front: parted at the viewer's left, swept to both temples and behind the ears. */
export function frontHairSvg(): string {
  return `<path d="M-34 -120 C-6 -92 60 -84 96 -40 C106 -26 112 -8 114 10 C124 4 132 -4 140 -2 C148 -70 132 -132 88 -160 C56 -182 -8 -186 -46 -168 Z" fill="#5e2f1e" opacity=".28" transform="translate(-2 8)"/>
    <path d="M-44 -138 C-20 -100 56 -94 96 -46 C108 -30 113 -12 114 8 C126 2 136 2 143 10 C152 -70 136 -136 90 -164 C50 -188 -16 -188 -50 -170 Z" fill="url(#hair)"/>
    <path d="M-36 -142 C-52 -110 -92 -84 -106 -44 C-111 -28 -113 -12 -114 8 C-126 2 -136 2 -143 10 C-152 -66 -138 -128 -96 -160 C-74 -174 -52 -178 -32 -172 Z" fill="url(#hair)"/>
    <g fill="none" stroke="#a06a4c" stroke-linecap="round" opacity=".5">
      <path d="M-26 -158 C20 -136 84 -124 116 -62" stroke-width="3.500"/><path d="M-14 -168 C36 -160 100 -136 128 -70" stroke-width="2.500"/>
      <path d="M-40 -156 C-66 -136 -104 -112 -120 -58" stroke-width="3.500"/><path d="M-46 -166 C-80 -150 -116 -122 -130 -62" stroke-width="2.500"/>
    </g>
    <g fill="none" stroke="#321a13" stroke-linecap="round" opacity=".4">
      <path d="M-36 -148 C6 -122 70 -110 106 -52" stroke-width="2"/><path d="M-40 -146 C-58 -122 -98 -96 -112 -48" stroke-width="2"/>
    </g>`;
}
