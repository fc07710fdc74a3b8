import { FarmError } from '../../../shared/errors/farm-error.ts';
import { OnnxAudioEncoder } from '../../../worker/onnx/audio-encoder.ts';
import { OnnxLipSyncNetwork } from '../../../worker/onnx/lip-sync-network.ts';

/** Opens files as networks, one after the other: a process of its own, since a crash of ONNX Runtime ends it. */

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };

process.on('message', async ({ file, kind }: { file: string; kind: 'encoder' | 'network' }) => {
  try {
    const open = kind === 'encoder' ? OnnxAudioEncoder.open : OnnxLipSyncNetwork.open;
    await (await open(file, SETTINGS)).release();
    process.send?.('opened');
  } catch (error) {
    process.send?.(error instanceof FarmError ? error.code : `${error}`);
  }
});
