/**
 * Part of the demo's generator: finds the closed mouth by the colour of its lips. Crop rects are whole pixels while the
 * head moves by fractions of one; so the opened mouth follows the drawn one smoothly.
 */
import type { GraphBuilder, TensorName } from '../../shared/onnx/graph.ts';
import { mathOf } from '../onnx/math.ts';
import { MOUTH_IN_CROP, NETWORK_SIDE, toNetwork } from './scene-geometry.ts';

/** Pixels of the network's picture around the expected middle that are searched. */
const SEARCH = { left: 72, right: 72, up: 34, down: 40 } as const;
/** Red minus green, 0 … 1: skin has up to 0.28, lips 0.4. */
const LIP_REDNESS = 0.31;
/** Where the lips' centre of mass lies from the middle of the line between them, in the network's pixels: measured. */
const LIPS_FROM_LINE = { x: 0.37, y: 0.26 } as const;
/** Total redness that a mouth has many times over; without lips the expected place is taken. */
const NO_LIPS = 0.5;

const expected = toNetwork(MOUTH_IN_CROP);

/** Middle of the mouth's line in the network's picture, [batch, 1, 1, 1] each. */
export interface MouthPlace {
  readonly x: TensorName;
  readonly y: TensorName;
}

/** @param picture [batch, ≥ 3, 320, 320], BGR 0…1. */
export function locateMouth(graph: GraphBuilder, picture: TensorName): MouthPlace {
  const m = mathOf(graph);
  const left = Math.round(expected.x) - SEARCH.left;
  const top = Math.round(expected.y) - SEARCH.up;
  const width = SEARCH.left + SEARCH.right;
  const height = SEARCH.up + SEARCH.down;
  if (left < 0 || top < 0 || left + width > NETWORK_SIDE || top + height > NETWORK_SIDE) {
    throw new RangeError('the search for the mouth leaves the picture');
  }
  const area = [
    { axis: 2, start: top, end: top + height },
    { axis: 3, start: left, end: left + width },
  ];
  const green = m.slice(picture, { axis: 1, start: 1, end: 2 }, ...area);
  const red = m.slice(picture, { axis: 1, start: 2, end: 3 }, ...area);
  const lips = m.relu(m.sub(m.sub(red, green), LIP_REDNESS));
  const total = m.add(m.sumOver(lips, 2, 3), NO_LIPS);
  const fromExpected = (size: number, start: number, expectedAt: number, lipsAt: number) =>
    Float32Array.from({ length: size }, (_, i) => start + i - expectedAt - lipsAt);
  const xs = graph.tensor([1, 1, 1, width], fromExpected(width, left, expected.x, LIPS_FROM_LINE.x));
  const ys = graph.tensor([1, 1, height, 1], fromExpected(height, top, expected.y, LIPS_FROM_LINE.y));
  return {
    x: m.add(m.div(m.sumOver(m.mul(lips, xs), 2, 3), total), expected.x),
    y: m.add(m.div(m.sumOver(m.mul(lips, ys), 2, 3), total), expected.y),
  };
}
