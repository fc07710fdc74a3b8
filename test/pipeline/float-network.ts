import type { Faces, LipSyncNetwork, NetworkSize } from '../../worker/pipeline/contract.ts';
import { generateOutside, paintOutside } from '../../worker/pipeline/picture-floats.ts';

/** A network that computes on floats alone: bytes go around it. */
export abstract class FloatNetwork implements LipSyncNetwork {
  abstract readonly size: NetworkSize;
  abstract readonly framesPerRun: number;

  abstract generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array>;

  async paint(faces: Faces, audio: Float32Array, mouths: Uint8Array, count: number): Promise<void> {
    await paintOutside(this, faces, audio, mouths, count);
  }

  async paintFloats(faces: Faces, audio: Float32Array, mouths: Float32Array, count: number): Promise<void> {
    mouths.set(await generateOutside(this, faces, audio, count));
  }
}
