/**
 * The nodes that stand before and behind a lip-sync network so that it takes and gives bytes. They compute what
 * `paintOutside` (worker/pipeline/picture-floats.ts) does, bit for bit, by operators that have meant the same since
 * opset 9.
 */

import { TENSOR_TYPES } from '../../shared/onnx/encode.ts';
import { type Dim, type Graph, GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import type { NetworkSize } from '../pipeline/contract.ts';
import { hiddenArea } from '../pipeline/picture-floats.ts';

/** The oldest operators that will do: `Cast` of a number to a truth value, and `Max` and `Min` that spread. */
export const OLDEST_OPSET = 9;

/** Names of a wrapped network's inputs and outputs beside its own. */
export interface ByteNames {
  /** uint8 [crops, S, S, 3] RGB. */
  readonly crops: string;
  /** uint8 [rois, S, S, 3] RGB: as many as crops, or none. */
  readonly rois: string;
  /** float32 [floats, 6, S, S]: empty, or in place of crops. */
  readonly visual: string;
  /** uint8 [batch, S, S, 3] RGB. */
  readonly mouths: string;
}

/** @param prefix begins every name that is new in the model. */
export function byteNames(prefix: string): ByteNames {
  return { crops: `${prefix}crops`, rois: `${prefix}rois`, visual: `${prefix}visual`, mouths: `${prefix}mouths` };
}

/** Planes red, green, blue → blue, green, red, and back. */
const EXCHANGED = [2, 1, 0];
const ABOUT = 'pictures in bytes';

/**
 * Crops, crops and rois, or floats, whichever are given → the visual input of the network. Only what is given is
 * computed: a graph for all three costs no more than one for crops alone.
 * @param visual the network's own name of its input [batch, 6, S, S].
 */
export function graphBefore(prefix: string, size: NetworkSize, visual: string): Graph {
  const graph = new GraphBuilder('', ABOUT, `${prefix}before_`);
  const names = byteNames(prefix);
  const crops = graph.input(names.crops, [`${prefix}crop_count`, size, size, 3], 'uint8');
  const rois = graph.input(names.rois, [`${prefix}roi_count`, size, size, 3], 'uint8');
  const floats = graph.input(names.visual, [`${prefix}float_count`, 6, size, size]);
  const area = graph.tensor([size, size], hiddenArea(size));

  const branch = (name: string, fill: (branch: GraphBuilder) => TensorName) => {
    const builder = new GraphBuilder(`${prefix}${name}`, ABOUT, `${prefix}${name}_`);
    builder.output(`${prefix}${name}_input`, fill(builder), [`${prefix}count`, 6, size, size]);
    return { graph: builder.build() };
  };
  const isGiven = (builder: GraphBuilder, tensor: TensorName) => {
    const count = builder.node('Gather', [builder.node('Shape', [tensor]), builder.integers(0)], { axis: 0 });
    return builder.node('Cast', [count], { to: TENSOR_TYPES.bool });
  };
  const withHidden = (builder: GraphBuilder, face: TensorName, masked: TensorName) =>
    builder.node('Concat', [face, builder.node('Mul', [masked, area])], { axis: 1 });

  const ofCrops = branch('crops', (builder) => {
    const face = bgrPlanes(builder, crops);
    return withHidden(builder, face, face);
  });
  const ofRois = branch('rois', (builder) => withHidden(builder, bgrPlanes(builder, crops), bgrPlanes(builder, rois)));
  const ofPictures = branch('pictures', (builder) =>
    builder.node('If', [isGiven(builder, rois)], { then_branch: ofRois, else_branch: ofCrops }),
  );
  const ofFloats = branch('floats', () => floats);
  const input = graph.node('If', [isGiven(graph, floats)], { then_branch: ofFloats, else_branch: ofPictures });
  graph.alias(visual, input);
  return graph.build();
}

/** uint8 [n, S, S, 3] RGB → [n, 3, S, S], BGR 0…1. */
function bgrPlanes(graph: GraphBuilder, pictures: TensorName): TensorName {
  const planes = graph.node('Transpose', [pictures], { perm: [0, 3, 1, 2] });
  const exchanged = graph.node('Gather', [planes, graph.integers(...EXCHANGED)], { axis: 1 });
  return graph.node('Div', [graph.node('Cast', [exchanged], { to: TENSOR_TYPES.float32 }), graph.scalar(255)]);
}

/**
 * The network's pictures → mouths, clamped and truncated.
 * @param output the network's own name of its output [batch, 3, S, S], BGR 0…1.
 */
export function graphBehind(prefix: string, batch: Dim, size: NetworkSize, output: string): Graph {
  const graph = new GraphBuilder('', ABOUT, `${prefix}behind_`);
  const scaled = graph.node('Mul', [output as TensorName, graph.scalar(255)]);
  const clamped = graph.node('Min', [graph.node('Max', [scaled, graph.scalar(0)]), graph.scalar(255)]);
  const bytes = graph.node('Cast', [clamped], { to: TENSOR_TYPES.uint8 });
  const planes = graph.node('Gather', [bytes, graph.integers(...EXCHANGED)], { axis: 1 });
  const pixels = graph.node('Transpose', [planes], { perm: [0, 2, 3, 1] });
  graph.output(byteNames(prefix).mouths, pixels, [batch, size, size, 3], 'uint8');
  return graph.build();
}
