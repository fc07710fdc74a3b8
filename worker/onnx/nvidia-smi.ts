/** What nvidia-smi says of the machine's NVIDIA devices: their names and their memory. */

import { MB } from '../../shared/units.ts';
import { outputOf } from './system-tools.ts';

const NVIDIA_SMI = 'nvidia-smi';

/**
 * Memory of one device in bytes: what this process has of it, where the driver tells processes apart, and all in use.
 */
export interface DeviceMemory {
  readonly own: number | undefined;
  readonly all: number;
}

/**
 * Name of the first visible NVIDIA device; undefined where there is none or no nvidia-smi.
 * @param visible entries of CUDA_VISIBLE_DEVICES; undefined: every device.
 */
export async function nvidiaDeviceName(visible: readonly string[] | undefined): Promise<string | undefined> {
  const listing = await outputOf(NVIDIA_SMI, ['--query-gpu=index,uuid,name', '--format=csv,noheader']);
  return listing === undefined ? undefined : nvidiaDevice(listing, visible);
}

/**
 * The first of the visible NVIDIA devices.
 * @param listing what nvidia-smi prints of index, uuid and name as CSV without header.
 * @param visible entries of CUDA_VISIBLE_DEVICES, indices or the beginnings of uuids; undefined: every device.
 * @returns its name, or undefined when the listing does not have it.
 */
export function nvidiaDevice(listing: string, visible: readonly string[] | undefined): string | undefined {
  const devices = listing
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .map(([index, uuid, ...name]) => ({ index, uuid, name: name.join(', ') }))
    .filter(({ name }) => name !== '');
  if (visible === undefined) return devices[0]?.name;
  const wanted = visible[0]?.trim() ?? '';
  if (wanted === '') return undefined;
  return devices.find(({ index, uuid }) => index === wanted || uuid?.startsWith(wanted))?.name;
}

/**
 * Memory of an NVIDIA device.
 * @param device index or uuid.
 * @returns undefined where there is no nvidia-smi or it does not answer as expected.
 */
export async function readDeviceMemory(device: string): Promise<DeviceMemory | undefined> {
  const query = (what: string) => outputOf(NVIDIA_SMI, ['-i', device, what, '--format=csv,noheader,nounits']);
  const [apps, gpu] = await Promise.all([
    query('--query-compute-apps=pid,used_memory'),
    query('--query-gpu=memory.used'),
  ]);
  return apps === undefined || gpu === undefined ? undefined : parseDeviceMemory(apps, gpu, process.pid);
}

/**
 * Reads nvidia-smi's CSV without header and units, in MiB.
 * @param apps lines "pid, used". In a container the process is often not among them.
 * @param gpu the used memory of the device.
 * @returns undefined when the device's figure is no number.
 */
export function parseDeviceMemory(apps: string, gpu: string, pid: number): DeviceMemory | undefined {
  const all = Number.parseFloat(gpu) * MB;
  if (!Number.isFinite(all)) return undefined;
  const rows = apps.split('\n').map((line) => line.split(',').map((cell) => Number.parseFloat(cell)));
  const own = rows.find(([owner]) => owner === pid)?.[1];
  return { own: own === undefined || Number.isNaN(own) ? undefined : own * MB, all };
}
