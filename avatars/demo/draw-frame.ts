/** One frame of the presenter: everything in front of the studio, as SVG of PRESENTER_AREA. */
import { FEATURE_DEFS, featuresSvg } from './draw-features.ts';
import { backHairSvg, faceSvg, frontHairSvg, HEAD_DEFS, neckSvg } from './draw-head.ts';
import { TORSO_DEFS, torsoSvg } from './draw-torso.ts';
import type { Pose } from './pose.ts';
import { HEAD_ORIGIN, HEAD_PIVOT, PICTURE_HEIGHT } from './scene-geometry.ts';

/** The part of the picture that the presenter stays within, from top to bottom; only that is drawn. */
export const PRESENTER_AREA = { x: 300, width: 680 } as const;

/** The neck and the hair behind it follow the head this far; the face's surface follows its features this far. */
const NECK_SHARE = 0.45;
const SURFACE_SHARE = 0.35;

export function presenterSvg(pose: Pose): string {
  const head = `translate(${fixed(pose.headX)} ${fixed(pose.headY)}) rotate(${fixed(pose.headTilt)} ${HEAD_PIVOT.x} ${HEAD_PIVOT.y})`;
  const { x, width } = PRESENTER_AREA;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${PICTURE_HEIGHT}" viewBox="${x} 0 ${width} ${PICTURE_HEIGHT}">
  <defs>${HEAD_DEFS}${FEATURE_DEFS}${TORSO_DEFS}</defs>
  <g transform="translate(${HEAD_ORIGIN.x} ${HEAD_ORIGIN.y})">
    <g transform="${head}">${backHairSvg()}</g>
    <g transform="translate(${fixed(pose.headX * NECK_SHARE)} ${fixed(pose.headY * NECK_SHARE)})">${neckSvg()}</g>
    ${torsoSvg(pose.breath)}
    <g transform="${head}">
      <g transform="${shift(pose, SURFACE_SHARE)}">${faceSvg()}</g>
      <g transform="${shift(pose, 1)}">${featuresSvg(pose)}</g>
      <g transform="${shift(pose, SURFACE_SHARE)}">${frontHairSvg()}</g>
    </g>
  </g>
</svg>`;
}

function shift(pose: Pose, share: number): string {
  return `translate(${fixed(pose.turnX * share)} ${fixed(pose.turnY * share)})`;
}

/** Numbers in the SVG have three decimals: enough for smooth motion, and the same text on every machine. */
function fixed(value: number): string {
  return value.toFixed(3);
}
