import type { AudioKind } from '../../shared/sound/audio-kinds.ts';
import type { AudioEncoder } from '../pipeline/contract.ts';
import { OnnxAudioEncoder } from './audio-encoder.ts';
import { HUBERT_FORM, WENET_FORM } from './encoder-forms.ts';
import type { ProviderReport } from './execution-providers.ts';
import type { RunSettings } from './onnx-session.ts';
import { SoundEncoder } from './sound-encoder.ts';

/** An encoder that is open. */
export interface OpenEncoder extends AudioEncoder {
  readonly provider: ProviderReport;
  /** Ends its session. Calling it again does nothing. */
  release(): Promise<void>;
}

/** Opens the encoder of a kind of features. @throws FarmError as OnnxModel.open does. */
export async function openEncoder(kind: AudioKind, path: string, settings: RunSettings): Promise<OpenEncoder> {
  if (kind === 'ave') return await OnnxAudioEncoder.open(path, settings);
  return await SoundEncoder.open(path, kind === 'hubert' ? HUBERT_FORM : WENET_FORM, settings);
}
