/** Part of the demo's generator: moves lips, jaw and chin by sampling the picture elsewhere, and cuts the gap between. */
import type { GraphBuilder, TensorName } from '../../shared/onnx/graph.ts';
import { mathOf } from '../onnx/math.ts';
import type { Articulation } from './articulation.ts';
import type { MouthPlace } from './locate-mouth.ts';
import { MOUTH_CORNER_LIFT, MOUTH_HALF_WIDTH, NETWORK_SCALE } from './scene-geometry.ts';

/** The part of the network's picture that moves, x2 and y2 exclusive. Motion fades out before its edges. */
export const MOVING_AREA = { x1: 36, y1: 80, x2: 284, y2: 308 } as const;
const AREA_WIDTH = MOVING_AREA.x2 - MOVING_AREA.x1;
const AREA_HEIGHT = MOVING_AREA.y2 - MOVING_AREA.y1;

/** At full opening, in pixels of the network's picture. */
const UPPER_LIP_LIFT = 8;
const LOWER_LIP_DROP = 35;
const CHIN_DROP = 14;
/** The jaw beside the chin follows it as e^−(x/reach)². */
const CHIN_REACH = 92;
/** Change of the mouth's width at wideness 1 and −1. */
const WIDENING = 0.12;
const NARROWING = 0.3;
/** Edges of the gap: (1 − x²)^power above, (1 − x⁴)^power below, a full bow that is fuller still when round. */
const UPPER_POWER = 0.9;
const LOWER_POWER = 0.75;
const LOWER_ROUND_POWER = 0.6;
/** Width of the gap's soft edge, in pixels. */
const EDGE_SOFTNESS = 1.7;

/** All [batch, 1, height, width] of the moving area, or what spreads to it; lengths in the network's pixels. */
export interface MouthWarp {
  /** [batch, height, width, 2] for GridSample. */
  readonly grid: TensorName;
  /** 1 inside the open mouth, 0 outside. */
  readonly gap: TensorName;
  /** Distance below the line on which the closed lips meet. */
  readonly belowLine: TensorName;
  /** Distance from the middle, 1 at the corners of the mouth. */
  readonly across: TensorName;
  /** How far the edges of the gap are from the line. */
  readonly lift: TensorName;
  readonly drop: TensorName;
  /** Lower lip's drop in the middle, [batch, 1, 1, 1]. */
  readonly middleDrop: TensorName;
}

export function warpMouth(graph: GraphBuilder, place: MouthPlace, mouth: Articulation): MouthWarp {
  const m = mathOf(graph);
  const columns = graph.tensor([1, 1, 1, AREA_WIDTH], counted(AREA_WIDTH));
  const rows = graph.tensor([1, 1, AREA_HEIGHT, 1], counted(AREA_HEIGHT));
  const x = m.sub(m.add(columns, MOVING_AREA.x1), place.x);
  const y = m.sub(m.add(rows, MOVING_AREA.y1), place.y);

  const round = m.relu(m.mul(mouth.wideness, -1));
  const width = m.add(m.sub(1, m.mul(round, NARROWING)), m.mul(m.relu(mouth.wideness), WIDENING));
  const pull = m.mul(m.mul(x, m.sub(m.div(1, width), 1)), fadeAcross(m, x, 72));
  const across = m.div(m.add(x, pull), MOUTH_HALF_WIDTH * NETWORK_SCALE);
  const acrossSquared = m.square(across);

  const inside = m.relu(m.sub(1, acrossSquared));
  const insideBow = m.relu(m.sub(1, m.square(acrossSquared)));
  const lowerPower = m.sub(LOWER_POWER, m.mul(round, LOWER_POWER - LOWER_ROUND_POWER));
  const lift = m.mul(m.pow(inside, UPPER_POWER), m.mul(mouth.opening, UPPER_LIP_LIFT));
  const drop = m.mul(m.powByLog(insideBow, lowerPower), m.mul(mouth.opening, LOWER_LIP_DROP));
  const cornerRise = m.mul(m.min(acrossSquared, 1.2), MOUTH_CORNER_LIFT * NETWORK_SCALE);
  const belowLine = m.add(y, cornerRise);

  const upward = m.mul(lift, m.smoothRamp(y, -56, -24));
  const beside = m.square(m.div(x, CHIN_REACH));
  const chinAcross = m.mul(m.exp(m.mul(beside, -1)), m.smoothRamp(beside, 1.5, 0.8));
  const chin = m.mul(m.mul(mouth.opening, CHIN_DROP), chinAcross);
  const chinShare = m.mul(m.smoothRamp(y, 36, 98), m.smoothRamp(y, 154, 112));
  const downward = m.add(m.mul(drop, m.smoothRamp(y, 102, 50)), m.mul(chin, chinShare));
  const isLower = m.greater(belowLine, m.mul(m.sub(drop, lift), 0.5));
  const shiftY = m.where(isLower, m.mul(downward, -1), upward);
  /** The nose and the line of the jaw keep their shapes. */
  const nearLips = m.mul(m.smoothRamp(y, -50, -18), m.smoothRamp(y, 84, 34));
  const sourceX = m.add(m.mul(pull, nearLips), columns);
  const sourceY = m.add(shiftY, rows);
  return {
    grid: m.concat([gridAxis(m, sourceX, AREA_WIDTH), gridAxis(m, sourceY, AREA_HEIGHT)], 3),
    gap: m.clip(m.div(m.min(m.add(belowLine, lift), m.sub(drop, belowLine)), EDGE_SOFTNESS), 0, 1),
    belowLine,
    across,
    lift,
    drop,
    middleDrop: m.mul(mouth.opening, LOWER_LIP_DROP),
  };
}

/** e^−(x/reach)⁴: flat in the middle, gone at 1.6 times the reach. */
function fadeAcross(m: ReturnType<typeof mathOf>, x: TensorName, reach: number): TensorName {
  return m.exp(m.mul(m.square(m.square(m.div(x, reach))), -1));
}

/** Pixel positions [batch, 1, height, width] → GridSample's −1 … 1 (edges of the outer pixels), [batch, height, width, 1]. */
function gridAxis(m: ReturnType<typeof mathOf>, position: TensorName, size: number): TensorName {
  const scaled = m.add(m.mul(position, 2 / size), 1 / size - 1);
  return m.reshape(scaled, -1, AREA_HEIGHT, AREA_WIDTH, 1);
}

function counted(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => index);
}
