import { readEnvironment } from '../../shared/process/environment.ts';
import { outputOf } from './system-tools.ts';

/** What an NVIDIA device does now. */
export interface DeviceUse {
  readonly gpu_percent: number;
  readonly device_memory_mb: number;
}

/** Of the first visible device; undefined where there is none, or no nvidia-smi. */
export async function deviceUse(): Promise<DeviceUse | undefined> {
  const [device = '0'] = readEnvironment().cudaDevices ?? [];
  const query = '--query-gpu=utilization.gpu,memory.used';
  const text = await outputOf('nvidia-smi', ['-i', device, query, '--format=csv,noheader,nounits']);
  const [percent, memory] = (text ?? '').split(',').map((field) => Number.parseFloat(field));
  if (!Number.isFinite(percent) || !Number.isFinite(memory)) return undefined;
  return { gpu_percent: percent as number, device_memory_mb: memory as number };
}
