/** The demo's lip-sync network: opens, widens and rounds the mouth of the picture it is given. Procedural, not trained. */
import { type Graph, GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import { mathOf } from '../onnx/math.ts';
import { readArticulation } from './articulation.ts';
import { locateMouth } from './locate-mouth.ts';
import { paintInterior } from './mouth-interior.ts';
import { MOVING_AREA, warpMouth } from './mouth-warp.ts';
import { NETWORK_SIDE } from './scene-geometry.ts';

/**
 * `input` [batch, 6, 320, 320] (BGR 0…1: the picture, then the picture with its mouth blacked out, which only a trained
 * network needs) and `audio` [batch, 32, 16, 16] → `output` [batch, 3, 320, 320]. Zero audio gives the picture back.
 */
export function generatorGraph(): Graph {
  const graph = new GraphBuilder(
    'demo_lip_sync_generator',
    'Procedural demo generator of Lipsync Farm, not trained: moves the drawn mouth of its picture with the voice.',
  );
  const m = mathOf(graph);
  const input = graph.input('input', ['batch', 6, NETWORK_SIDE, NETWORK_SIDE]);
  const audio = graph.input('audio', ['batch', 32, 16, 16]);
  const picture = m.slice(input, { axis: 1, start: 0, end: 3 });
  const area = m.slice(
    picture,
    { axis: 2, start: MOVING_AREA.y1, end: MOVING_AREA.y2 },
    { axis: 3, start: MOVING_AREA.x1, end: MOVING_AREA.x2 },
  );

  const warp = warpMouth(graph, locateMouth(graph, picture), readArticulation(graph, audio));
  const warped = graph.node('GridSample', [area, warp.grid], {
    mode: 'bilinear',
    padding_mode: 'border',
    align_corners: 0,
  });
  const spoken = m.mix(warped, paintInterior(graph, warp), warp.gap);
  const output = m.add(picture, padToPicture(graph, m.sub(spoken, area)));
  graph.output('output', output, ['batch', 3, NETWORK_SIDE, NETWORK_SIDE]);
  return graph.build();
}

/** The moving area's change with zeros around it: outside, the picture passes through untouched. */
function padToPicture(graph: GraphBuilder, change: TensorName): TensorName {
  const { x1, y1, x2, y2 } = MOVING_AREA;
  return graph.node('Pad', [change, graph.integers(0, 0, y1, x1, 0, 0, NETWORK_SIDE - y2, NETWORK_SIDE - x2)]);
}
