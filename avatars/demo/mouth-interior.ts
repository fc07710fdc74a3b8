/** Part of the demo's generator: what is seen between the lips. */
import type { GraphBuilder, TensorName } from '../../shared/onnx/graph.ts';
import { mathOf } from '../onnx/math.ts';
import type { MouthWarp } from './mouth-warp.ts';

const THROAT = '#2e0d13';
const FLOOR = '#571f26';
const TEETH = '#f3ebe3';
const TONGUE = '#9c4750';

/** In pixels of the network's picture: how far the upper teeth reach below the closed line, less towards the corners. */
const TEETH_REACH = 5;
const TEETH_ARC = 7;
/** Teeth end at this part of the mouth's half width. */
const TEETH_END = 0.86;
/** Depth of the upper lip's shadow on the teeth, and how dark it is. */
const SHADOW_DEPTH = 8;
const SHADOW = 0.3;
/** The tongue's half width as a part of the mouth's, and its height as a part of the lower lip's drop. */
const TONGUE_WIDTH = 0.62;
const TONGUE_HEIGHT = 0.4;

/** [batch, 3, height, width] of the moving area, BGR 0…1. Meaningful within the gap only. */
export function paintInterior(graph: GraphBuilder, warp: MouthWarp): TensorName {
  const m = mathOf(graph);
  const { belowLine, lift, middleDrop } = warp;
  const acrossSquared = m.square(warp.across);

  const depth = m.clip(m.div(belowLine, 40), 0, 1);
  const dark = m.mix(colour(graph, THROAT), colour(graph, FLOOR), depth);

  const tongueTop = m.sub(
    middleDrop,
    m.mul(m.mul(middleDrop, TONGUE_HEIGHT), m.sub(1, m.div(acrossSquared, TONGUE_WIDTH ** 2))),
  );
  const tongue = m.ramp(m.sub(belowLine, tongueTop), 0, 5);
  const withTongue = m.mix(dark, colour(graph, TONGUE), tongue);

  const teethEdge = m.sub(TEETH_REACH, m.mul(acrossSquared, TEETH_ARC));
  const sides = m.ramp(acrossSquared, TEETH_END ** 2, 0.5 * TEETH_END ** 2);
  const teeth = m.mul(m.ramp(m.sub(teethEdge, belowLine), -0.9, 0.9), sides);
  const lit = m.add(m.mul(m.ramp(m.add(belowLine, lift), 0, SHADOW_DEPTH), SHADOW), 1 - SHADOW);
  return m.mix(withTongue, m.mul(colour(graph, TEETH), lit), teeth);
}

/** '#rrggbb' → [1, 3, 1, 1], BGR 0…1. */
function colour(graph: GraphBuilder, hex: string): TensorName {
  const rgb = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
  return graph.tensor([1, 3, 1, 1], Float32Array.from(rgb.reverse()));
}
