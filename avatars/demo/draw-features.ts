/** Brows, eyes, nose and the closed mouth, in head coordinates, as SVG. */
import type { Pose } from './pose.ts';
import { MOUTH_CORNER_LIFT, MOUTH_HALF_WIDTH, MOUTH_LINE_Y } from './scene-geometry.ts';

const EYE_X = 47;
const EYE_Y = 4;

/** Colours that the networks and the mouth's measure rely on: lips are much redder than skin, the line is dark. */
const UPPER_LIP = '#b9514f';
const LOWER_LIP = '#cf6a64';
const MOUTH_LINE = '#7c2f33';

export const FEATURE_DEFS = `
  <radialGradient id="iris" cx=".5" cy=".6" r=".55"><stop offset="0" stop-color="#9a6a3c"/><stop offset=".7" stop-color="#6b4326"/><stop offset="1" stop-color="#3d2415"/></radialGradient>
  <linearGradient id="eyeball" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#d9d0cc"/><stop offset=".45" stop-color="#fdfbf8"/></linearGradient>
  <linearGradient id="lowerLip" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${LOWER_LIP}"/><stop offset="1" stop-color="#c05d58"/></linearGradient>
  <linearGradient id="noseShade" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#c17a55" stop-opacity="0"/><stop offset="1" stop-color="#c17a55" stop-opacity=".5"/></linearGradient>
  <linearGradient id="noseLight" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#fff1df" stop-opacity="0"/><stop offset=".5" stop-color="#fff1df" stop-opacity=".42"/><stop offset="1" stop-color="#fff1df" stop-opacity=".3"/></linearGradient>
  <radialGradient id="tipLight"><stop offset="0" stop-color="#fff6e8" stop-opacity=".6"/><stop offset="1" stop-color="#fff6e8" stop-opacity="0"/></radialGradient>
  <radialGradient id="chinShade"><stop offset="0" stop-color="#b8714f" stop-opacity=".38"/><stop offset="1" stop-color="#b8714f" stop-opacity="0"/></radialGradient>`;

export function featuresSvg(pose: Pose): string {
  return `${noseSvg()}${mouthSvg()}${eyeSvg(-1, pose)}${eyeSvg(1, pose)}`;
}

/** One eye and its brow; side −1 is at the viewer's left. Drawn as a left one: the inner corner is at +x. */
function eyeSvg(side: -1 | 1, pose: Pose): string {
  const open = pose.eyesOpen;
  const upper = (15 - 32 * open).toFixed(2);
  const upperInner = (15 - 27 * open).toFixed(2);
  const lid = `C-17 ${upper} 8 ${upper} 23 5`;
  const lashTop = (Number(upper) - 5.5).toFixed(2);
  const eye = `M-26 1 ${lid} C12 14 -12 15 -26 1 Z`;
  const irisX = (-1 - side * pose.gazeX).toFixed(2);
  const clip = `eye${side < 0 ? 'Left' : 'Right'}`;
  const light = side * -4;
  return `<g transform="translate(${side * EYE_X} ${EYE_Y}) scale(${-side} 1)">
    <path d="M-34 -34 C-20 -50 4 -50 27 -39 C28 -36 27 -34 25 -33.500 C6 -41 -16 -42 -34 -34 Z" fill="#4a2a1f" transform="translate(0 ${(2 - 2 * open).toFixed(2)})"/>
    <path d="M-30 -6 C-18 -24 10 -24 24 -4 C12 -14 -12 -16 -30 -6 Z" fill="#c58a68" opacity=".5"/>
    <clipPath id="${clip}"><path d="${eye}"/></clipPath>
    <path d="${eye}" fill="url(#eyeball)"/>
    <g clip-path="url(#${clip})">
      <circle cx="${irisX}" cy="-1" r="13.500" fill="url(#iris)"/><circle cx="${irisX}" cy="-1" r="6.200" fill="#1d100b"/>
      <circle cx="${(Number(irisX) + light).toFixed(2)}" cy="-6" r="3.600" fill="#fff"/>
      <circle cx="${(Number(irisX) - light).toFixed(2)}" cy="4" r="1.700" fill="#fff" opacity=".7"/>
      <path d="M-26 -1 C-17 ${upper} 8 ${upper} 23 3 L23 8 C8 ${upperInner} -17 ${upperInner} -26 6 Z" fill="#5b3a35" opacity=".28"/>
    </g>
    <path d="M-31 -3 C-19 ${lashTop} 9 ${lashTop} 24 5 C8 ${upper} -17 ${upper} -26 1.500 C-28 1 -30 0 -31 -3 Z" fill="#2b1712"/>
    <path d="M-24 4 C-12 15.500 12 14.500 22 6" stroke="#a9684b" stroke-width="1.400" fill="none" opacity=".7"/>
  </g>`;
}

function noseSvg(): string {
  return `<path d="M12 -22 C11 4 15 34 22 54 C25 64 18 70 8 70 C7 44 6 14 12 -22 Z" fill="url(#noseShade)"/>
    <path d="M-6 -20 C-5 8 -9 34 -9 52 C-6 58 0 58 2 52 C1 30 2 6 0 -20 Z" fill="url(#noseLight)"/>
    <ellipse cx="-3" cy="57" rx="12" ry="9" fill="url(#tipLight)"/>
    <path d="M-20 59 C-24 67 -17 73 -11 70.500 M21 59 C25 67 18 73 12 70.500" fill="none" stroke="#b5704e" stroke-width="2.400" stroke-linecap="round" opacity=".8"/>
    <path d="M-11 70.500 C-6 75 7 75 12 70.500" fill="none" stroke="#b5704e" stroke-width="2.200" stroke-linecap="round" opacity=".6"/>
    <path d="M-12 70.500 C-10 67.500 -6 68 -4.500 71.500 C-7 73 -10 72.500 -12 70.500 Z M12 70.500 C10 67.500 6 68 4.500 71.500 C7 73 10 72.500 12 70.500 Z" fill="#8a4a33" opacity=".8"/>`;
}

function mouthSvg(): string {
  const w = MOUTH_HALF_WIDTH;
  const corner = MOUTH_LINE_Y - MOUTH_CORNER_LIFT;
  /** A quadratic Bézier curve passes half-way between its ends and its control point: this is the exact parabola. */
  const control = MOUTH_LINE_Y + MOUTH_CORNER_LIFT;
  const y = (offset: number) => (MOUTH_LINE_Y + offset).toFixed(2);
  return `<ellipse cx="2" cy="${y(24)}" rx="24" ry="7" fill="url(#chinShade)"/>
    <path d="M-${w} ${corner} C-20 ${y(-9)} -11 ${y(-14)} -6 ${y(-13.5)} C-3 ${y(-13)} -2 ${y(-11.5)} 0 ${y(-11.5)} C2 ${y(-11.5)} 3 ${y(-13)} 6 ${y(-13.5)} C11 ${y(-14)} 20 ${y(-9)} ${w} ${corner} Q0 ${control} -${w} ${corner} Z" fill="${UPPER_LIP}"/>
    <path d="M-${w} ${corner} Q0 ${control} ${w} ${corner} C26 ${y(10)} 14 ${y(16.5)} 0 ${y(16.5)} C-14 ${y(16.5)} -26 ${y(10)} -${w} ${corner} Z" fill="url(#lowerLip)"/>
    <path d="M-16 ${y(6.5)} C-8 ${y(8.5)} 2 ${y(8.5)} 9 ${y(7)}" stroke="#f2a79c" stroke-width="3.200" stroke-linecap="round" fill="none" opacity=".75"/>
    <path d="M-${w + 3} ${corner - 1.5} L-${w} ${corner} Q0 ${control} ${w} ${corner} L${w + 3} ${corner - 1.5}" fill="none" stroke="${MOUTH_LINE}" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>`;
}
