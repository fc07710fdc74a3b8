/** The studio behind the presenter, as SVG: an out-of-focus room. It is drawn once for all frames. */
import { PICTURE_HEIGHT as H, PICTURE_WIDTH as W } from './scene-geometry.ts';

export function studioSvg(): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${W}" height="${H}" viewBox="0 0 ${W} ${H}">
  <defs>
    <linearGradient id="wall" x1="0" y1="0" x2="1" y2="1">
      <stop offset="0" stop-color="#f4e9dc"/><stop offset=".5" stop-color="#e6d8ca"/><stop offset="1" stop-color="#c9b9b0"/>
    </linearGradient>
    <radialGradient id="glow" cx=".47" cy=".34" r=".5">
      <stop offset="0" stop-color="#fff8ec" stop-opacity=".95"/><stop offset="1" stop-color="#fff8ec" stop-opacity="0"/>
    </radialGradient>
    <radialGradient id="lamp"><stop offset="0" stop-color="#fff6d8"/><stop offset=".45" stop-color="#ffe3a6" stop-opacity=".75"/>
      <stop offset="1" stop-color="#ffdf9e" stop-opacity="0"/></radialGradient>
    <radialGradient id="vignette" cx=".5" cy=".45" r=".75"><stop offset=".6" stop-color="#4b3a3a" stop-opacity="0"/>
      <stop offset="1" stop-color="#4b3a3a" stop-opacity=".28"/></radialGradient>
    <filter id="far" x="-20%" y="-20%" width="140%" height="140%"><feGaussianBlur stdDeviation="9"/></filter>
    <filter id="farther" x="-20%" y="-20%" width="140%" height="140%"><feGaussianBlur stdDeviation="16"/></filter>
  </defs>
  <rect width="${W}" height="${H}" fill="url(#wall)"/>
  <g filter="url(#farther)">
    <path d="M60 -40 L330 -40 L250 560 L-20 560 Z" fill="#fffaf0" opacity=".6"/>
    <path d="M150 -40 L168 -40 L88 560 L70 560 Z M-20 236 L300 236 L298 252 L-20 252 Z" fill="#d9c8b6" opacity=".6"/>
  </g>
  <g filter="url(#far)">${shelf()}${plant()}</g>
  <circle cx="1068" cy="150" r="150" fill="url(#lamp)"/>
  <rect width="${W}" height="${H}" fill="url(#glow)"/>
  <rect width="${W}" height="${H}" fill="url(#vignette)"/>
</svg>`;
}

/** Two boards with books, a vase and a lamp, at the right. */
function shelf(): string {
  const books: readonly (readonly [x: number, width: number, height: number, colour: string])[] = [
    [936, 24, 118, '#5f7f86'],
    [964, 18, 104, '#d48a6a'],
    [986, 28, 126, '#e9c38f'],
    [1018, 20, 96, '#7f6a7d'],
    [1042, 26, 112, '#3f6670'],
    [1190, 24, 108, '#d48a6a'],
    [1218, 30, 122, '#88a08a'],
    [1252, 20, 100, '#e9c38f'],
  ];
  const upright = books.map(
    ([x, w, h, fill]) => `<rect x="${x}" y="${470 - h}" width="${w}" height="${h}" fill="${fill}"/>`,
  );
  return `<rect x="915" y="246" width="400" height="13" fill="#a98467"/><rect x="915" y="470" width="400" height="14" fill="#a98467"/>
    <circle cx="1068" cy="168" r="50" fill="#fff1cf"/><rect x="1060" y="214" width="16" height="33" fill="#8d6a52"/>
    <path d="M1186 246 C1160 205 1180 176 1200 168 L1196 140 L1228 140 L1224 168 C1246 178 1262 208 1238 246 Z" fill="#7d9a94"/>
    ${upright.join('')}<ellipse cx="1124" cy="448" rx="40" ry="24" fill="#f0e2cf"/>`;
}

/** A pot with large leaves, at the left. */
function plant(): string {
  const leaves: readonly (readonly [angle: number, length: number, colour: string])[] = [
    [-62, 220, '#5d8069'],
    [-38, 270, '#4d7360'],
    [-14, 310, '#6a8f73'],
    [10, 300, '#557c66'],
    [34, 250, '#6f9478'],
    [58, 210, '#4a6f5c'],
  ];
  const drawn = leaves.map(
    ([angle, length, fill]) =>
      `<path transform="translate(196 610) rotate(${angle})" fill="${fill}" d="M0 0 C-46 ${-length * 0.35} -40 ${-length * 0.8} 0 ${-length} C40 ${-length * 0.8} 46 ${-length * 0.35} 0 0 Z"/>`,
  );
  return `${drawn.join('')}<path d="M128 590 L264 590 L246 740 L146 740 Z" fill="#c9775b"/>`;
}
