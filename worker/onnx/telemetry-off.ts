/** Imported before ONNX Runtime, which looks at this once, when it is loaded. */
import { declineTelemetry } from '../../shared/process/environment.ts';

declineTelemetry();
