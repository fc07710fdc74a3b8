/** Which tensors of a network are the pictures, the speech features and the result: by name, or else by shape. */

import type { PortShape } from '../onnx/port-shapes.ts';
import { AUDIO_KIND_FACTS, AUDIO_KINDS } from './audio-kinds.ts';
import { fits } from './hearing.ts';

/** What a lip-sync network calls its tensors. */
export interface LipSyncPorts {
  /** [batch, 6, S, S] */
  readonly visual: string;
  /** [batch, …] */
  readonly audio: string;
  /** [batch, 3, S, S] */
  readonly output: string;
}

/** As they are usually exported. */
export const USUAL_PORTS: LipSyncPorts = { visual: 'input', audio: 'audio', output: 'output' };

const CHANNELS = { visual: 6, output: 3 };
/** Smaller sides are those of a layer's weights, which old files list among the inputs. */
const SMALLEST_SIDE = 16;

/**
 * Tells the tensors of a lip-sync network apart. Its usual names count; without them the one input of six square planes
 * is the pictures, and the other one with four axes the speech features.
 * @param inputs in any order; those that stand for constants may be among them.
 * @returns undefined when neither names nor shapes tell: it is no lip-sync network.
 */
export function lipSyncPorts(inputs: readonly PortShape[], outputs: readonly PortShape[]): LipSyncPorts | undefined {
  const output = outputOf(outputs);
  const isThere = (wanted: string) => inputs.some(({ name }) => name === wanted);
  if (isThere(USUAL_PORTS.visual) && isThere(USUAL_PORTS.audio)) return { ...USUAL_PORTS, output };
  const [visual, second] = inputs.filter((port) => hasPlanes(port, CHANNELS.visual));
  if (visual === undefined || second !== undefined) return undefined;
  const others = inputs.filter((port) => port !== visual && port.dims?.length === 4);
  const heard = others.length > 1 ? others.filter(isKnownAudio) : others;
  const [audio] = heard;
  return audio && heard.length === 1 ? { visual: visual.name, audio: audio.name, output } : undefined;
}

function outputOf(outputs: readonly PortShape[]): string {
  const [only, second] = outputs;
  if (outputs.some(({ name }) => name === USUAL_PORTS.output)) return USUAL_PORTS.output;
  if (only && second === undefined) return only.name;
  const pictures = outputs.filter((port) => hasPlanes(port, CHANNELS.output));
  return pictures.length === 1 && pictures[0] ? pictures[0].name : USUAL_PORTS.output;
}

function hasPlanes({ dims = [] }: PortShape, channels: number): boolean {
  const [, planes, height, width] = dims;
  const isSide = (side: number | string | undefined) => typeof side !== 'number' || side >= SMALLEST_SIDE;
  const isSquare = typeof height !== 'number' || typeof width !== 'number' || height === width;
  return dims.length === 4 && planes === channels && isSide(height) && isSide(width) && isSquare;
}

function isKnownAudio({ dims = [] }: PortShape): boolean {
  return AUDIO_KINDS.some((kind) => AUDIO_KIND_FACTS[kind].contexts.some(({ shape }) => fits(dims.slice(1), shape)));
}
