/** How the presenter moves: the pose of every frame, made so that forwards and backwards playing looks natural. */
import { HEAD_ORIGIN, HEAD_PIVOT, MOUTH_LINE_Y } from './scene-geometry.ts';

/** 4 s at 25 frames/s; played to and fro the pictures repeat after 8 s. */
export const FRAME_COUNT = 100;

export interface Pose {
  /** The head's shift in pixels and its turn about the neck in degrees. */
  readonly headX: number;
  readonly headY: number;
  readonly headTilt: number;
  /** How far the features slide over the face as it turns, in pixels. */
  readonly turnX: number;
  readonly turnY: number;
  /** Shoulders' rise with the breath, in pixels. */
  readonly breath: number;
  /** 1 open … 0 shut. */
  readonly eyesOpen: number;
  /** Where the eyes look, in pixels from straight ahead. */
  readonly gazeX: number;
}

/** Frames at which the lids are down; the distances in between and around the turning points are uneven on purpose. */
const BLINK_FRAMES = [27, 81];
const BLINK_HALF_FRAMES = 3.2;

/** Pose of frame `index` of FRAME_COUNT: upright and without speed in the first and the last, so turning back is smooth. */
export function poseAt(index: number): Pose {
  const phase = index / (FRAME_COUNT - 1);
  const sway = 0.42 * (swing(phase, 2) - swing(phase, 4)) + 0.3 * (swing(phase, 1) - swing(phase, 3));
  const turn = 0.45 * (swing(phase, 1) - swing(phase, 3)) + 0.25 * (swing(phase, 2) - swing(phase, 4));
  const nod = 0.5 * (swing(phase, 2) - swing(phase, 5)) - 0.3 * (swing(phase, 1) - swing(phase, 3));
  return {
    headX: 9 * sway,
    headY: 2.6 * nod,
    headTilt: 1.1 * turn,
    turnX: 4 * turn,
    turnY: 1.5 * nod,
    breath: 0.9 * (1 + swing(phase, 2)),
    eyesOpen: lidsAt(index),
    gazeX: -1.6 * sway,
  };
}

/** Half turns of a cosine, −1 … 1: its slope is zero at both ends of the phase, 0 and 1. */
function swing(phase: number, halfTurns: number): number {
  return -Math.cos(Math.PI * halfTurns * phase);
}

function lidsAt(index: number): number {
  const nearest = Math.min(...BLINK_FRAMES.map((frame) => Math.abs(index - frame)));
  const closing = Math.max(0, 1 - nearest / BLINK_HALF_FRAMES);
  return 1 - closing * closing * (3 - 2 * closing);
}

/** Middle of the closed mouth's line in the picture. */
export function mouthCentre(pose: Pose): { x: number; y: number } {
  const angle = (pose.headTilt * Math.PI) / 180;
  const x = pose.turnX - HEAD_PIVOT.x;
  const y = MOUTH_LINE_Y + pose.turnY - HEAD_PIVOT.y;
  return {
    x: HEAD_ORIGIN.x + pose.headX + HEAD_PIVOT.x + x * Math.cos(angle) - y * Math.sin(angle),
    y: HEAD_ORIGIN.y + pose.headY + HEAD_PIVOT.y + x * Math.sin(angle) + y * Math.cos(angle),
  };
}
