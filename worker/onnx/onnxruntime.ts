/** ONNX Runtime as everybody here gets it: it reports to nobody. */
import './telemetry-off.ts';

export { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
