/** The only import of ONNX Runtime: its telemetry is turned off first. */
import './telemetry-off.ts';

export { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
