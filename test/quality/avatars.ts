/** The demo avatar, and avatars with one fault each, rendered by the farm's own steps in this process. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { generatorGraph } from '../../avatars/demo/generator-model.ts';
import { NETWORK_SIDE } from '../../avatars/demo/scene-geometry.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { type Graph, GraphBuilder, type GraphNode } from '../../shared/onnx/graph.ts';
import { lineInThisThread } from '../../worker/engine/frame-outputs.ts';
import { LastingPools } from '../../worker/engine/memory-pool.ts';
import { renderSegment } from '../../worker/engine/render-segment.ts';
import { Turns } from '../../worker/engine/turns.ts';
import type { LoadedModel } from '../../worker/models/loaded-model.ts';
import { loadAlone } from '../../worker/models/loaded-model.ts';
import { CROP_MARGIN } from '../../worker/pipeline/contract.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { openDemoAvatar, readRects } from '../avatars/demo-avatar.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { modelConfig } from '../support/model-config.ts';

/** `right` is the demo avatar; `painted` knows one face by heart, as a trained network does. */
export type AvatarName = 'right' | 'late' | 'still' | 'painted' | 'misplaced';

/** Frames by which the mouth of `late` is late. */
export const LATE_BY = 5;
/** Pixels by which the rects of `misplaced` are wrong, of a face of 224. */
const MISPLACED_BY = 24;
/** Of the demo's pictures: each takes a while to be prepared. */
const PICTURES = 6;
/** Channels of the audio input that one feature row fills. */
const CHANNELS_A_ROW = 2;

/** Writes the files of an avatar into a folder, and returns its entry of `models:`. */
export async function writeAvatar(name: AvatarName, folder: string): Promise<typeof DEMO_MODEL> {
  await mkdir(folder, { recursive: true });
  const modelPath = path.join(folder, `${name}.onnx`);
  const rectsPath = path.join(folder, `${name}-rects.json`);
  if (name !== 'right') await writeFile(modelPath, encodeModel(await graphOf(name)));
  if (name === 'misplaced') {
    const rects = await readRects(DEMO_MODEL.crop_rects_path);
    const moved = rects.map(({ x1, y1, x2, y2 }) => [x1 + MISPLACED_BY, y1, x2 + MISPLACED_BY, y2]);
    await writeFile(rectsPath, JSON.stringify(moved));
  }
  return {
    ...DEMO_MODEL,
    ...(name !== 'right' && { model_path: modelPath }),
    ...(name === 'misplaced' && { crop_rects_path: rectsPath }),
  };
}

export async function loadAvatar(name: AvatarName, folder: string): Promise<LoadedModel> {
  const entry = await writeAvatar(name, folder);
  return await loadAlone({
    entry: modelConfig({
      modelPath: entry.model_path,
      audioEncoderPath: entry.audio_encoder_path,
      backgroundDir: entry.background_dir,
      cropRectsPath: entry.crop_rects_path,
      frameLimit: PICTURES,
    }),
    ...{ providers: ['cpu'], threads: { intraOp: 1, interOp: 1 }, cachedFrames: 8 },
    preparing: { folder: path.join(folder, 'prepared'), quality: 75, processes: 0 },
  });
}

/** Renders a sound in segments of so many frames, as pictures, and leaves what is kept of them in the store. */
export async function renderSound(
  model: LoadedModel,
  artifacts: LocalArtifacts,
  renderId: string,
  samples: Float32Array,
  { frameCount, segmentFrames }: { frameCount: number; segmentFrames: number },
): Promise<void> {
  await artifacts.publish(artifactKeys.samples(renderId), (file) => writeFile(file, samples));
  const tools = {
    ...{
      artifacts,
      line: lineInThisThread(artifacts),
      turns: new Turns(),
      pools: new LastingPools(),
      signal: new AbortController().signal,
    },
  };
  for (let start = 0, index = 0; start < frameCount; start += segmentFrames, index++) {
    const frames = { start, end: Math.min(start + segmentFrames, frameCount) };
    const task = {
      ...{ renderId, segmentIndex: index, modelId: 'ann', frames, startFrameIndex: 0, totalFrames: frameCount },
      ...{ batchFrames: 4, encoderBatchWindows: 32, output: { kind: 'frames', jpegQuality: 75 } as const },
    };
    await renderSegment(index, task, model, tools);
  }
}

async function graphOf(name: Exclude<AvatarName, 'right'>): Promise<Graph> {
  if (name === 'late') return lateGraph();
  if (name === 'still') return pictureGraph(async () => undefined);
  return await pictureGraph(facePlanes);
}

/** The demo's network, hearing what was said some frames before. */
function lateGraph(): Graph {
  const demo = generatorGraph();
  const graph = new GraphBuilder('late', 'For tests: its mouth is late.', 'late-');
  const audio = 'audio' as Parameters<GraphBuilder['node']>[1][number];
  const shift = CHANNELS_A_ROW * LATE_BY;
  const padded = graph.node('Pad', [audio, graph.integers(0, shift, 0, 0, 0, 0, 0, 0)]);
  const earlier = graph.node('Slice', [padded, graph.integers(0), graph.integers(32), graph.integers(1)]);
  const { nodes, constants } = graph.build();
  const moved = (node: GraphNode): GraphNode => ({
    ...node,
    inputs: node.inputs.map((input) => (input === audio ? earlier : input)),
  });
  return { ...demo, nodes: [...nodes, ...demo.nodes.map(moved)], constants: [...constants, ...demo.constants] };
}

/** A network that gives its picture back, or always the same one. */
async function pictureGraph(planes: () => Promise<Float32Array | undefined>): Promise<Graph> {
  const graph = new GraphBuilder('picture', 'For tests: its mouth never moves.');
  const shape = ['batch', 3, NETWORK_SIDE, NETWORK_SIDE];
  const input = graph.input('input', ['batch', 6, NETWORK_SIDE, NETWORK_SIDE]);
  const audio = graph.input('audio', ['batch', 32, 16, 16]);
  const picture = graph.node('Slice', [input, graph.integers(0), graph.integers(3), graph.integers(1)]);
  const silent = graph.node('Mul', [graph.node('ReduceMean', [audio], { axes: [1, 2, 3], keepdims: 1 }), zero(graph)]);
  const face = await planes();
  const seen = face
    ? graph.node('Add', [
        graph.node('Mul', [picture, zero(graph)]),
        graph.tensor([1, 3, NETWORK_SIDE, NETWORK_SIDE], face),
      ])
    : picture;
  graph.output('output', graph.node('Add', [seen, silent]), shape);
  return graph.build();
}

function zero(graph: GraphBuilder) {
  return graph.tensor([1], Float32Array.of(0));
}

/** The face of the demo's first picture, [3, S, S] BGR 0 … 1. */
async function facePlanes(): Promise<Float32Array> {
  const avatar = await openDemoAvatar();
  const crop = makeCrop(NETWORK_SIDE);
  cutCrop(await avatar.background(0), avatar.rect(0), crop);
  const planes = new Float32Array(3 * NETWORK_SIDE * NETWORK_SIDE);
  for (let at = 0; at < NETWORK_SIDE * NETWORK_SIDE; at++) {
    const [x, y] = [CROP_MARGIN + (at % NETWORK_SIDE), CROP_MARGIN + Math.floor(at / NETWORK_SIDE)];
    for (let channel = 0; channel < 3; channel++) {
      const value = crop.data[(y * crop.width + x) * 3 + channel] as number;
      planes[(2 - channel) * NETWORK_SIDE * NETWORK_SIDE + at] = value / 255;
    }
  }
  return planes;
}
