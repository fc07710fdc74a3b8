/** Imported before ONNX Runtime, which looks at this once, when it is loaded. */
import { declineTelemetry } from '../../shared/environment.ts';

declineTelemetry();
