/** Must be imported before ONNX Runtime, which reads the setting once, when it is loaded. */
import { declineTelemetry } from '../../shared/process/environment.ts';

declineTelemetry();
