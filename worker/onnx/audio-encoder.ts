/** The audio encoder network: mel windows → speech features. */

import { ENCODER_WINDOWS } from '../../shared/limits.ts';
import { FEATURE_SIZE, MEL_BANDS, WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';
import type { AudioEncoder } from '../pipeline/contract.ts';
import type { ProviderReport } from './execution-providers.ts';
import { OnnxModel } from './onnx-model.ts';
import type { RunSettings } from './onnx-session.ts';
import type { ModelContract } from './tensor-contract.ts';

const INPUT = 'mel_spectrogram';
const OUTPUT = 'audio_features';
const CONTRACT: ModelContract = {
  role: 'audio encoder',
  inputs: [{ name: INPUT, dims: [1, MEL_BANDS, WINDOW_MEL_FRAMES] }],
  outputs: [{ name: OUTPUT, dims: [FEATURE_SIZE] }],
  namedDims: {},
};

/** Input names by which an audio encoder is recognised. */
export const AUDIO_ENCODER_INPUTS: readonly string[] = CONTRACT.inputs.map(({ name }) => name);

/** The AudioEncoder port on ONNX Runtime. Safe to share between models: no call depends on another. */
export class OnnxAudioEncoder implements AudioEncoder {
  readonly provider: ProviderReport;
  readonly #model: OnnxModel;

  private constructor(model: OnnxModel) {
    this.provider = model.provider;
    this.#model = model;
  }

  /**
   * Opens an encoder file: `mel_spectrogram` [batch, 1, 80, 16] → `audio_features` [batch, 512], float32.
   * @throws FarmError as OnnxModel.open does.
   */
  static async open(path: string, settings: RunSettings): Promise<OnnxAudioEncoder> {
    return new OnnxAudioEncoder(await OnnxModel.open({ path, contract: CONTRACT, ...settings }));
  }

  /**
   * @param windows [count, 1, 80, 16] flat, mel values −4 … 4.
   * @param count number of windows, ≥ 0.
   * @returns [count, 512] flat, owned by the caller.
   * @throws FarmError `inference_failed`.
   */
  async encode(windows: Float32Array, count: number): Promise<Float32Array> {
    const features = new Float32Array(count * FEATURE_SIZE);
    await this.#model.run(count, { [INPUT]: windows }, { [OUTPUT]: features }, ENCODER_WINDOWS.max);
    return features;
  }

  /** Ends the session. */
  async release(): Promise<void> {
    await this.#model.release();
  }
}
