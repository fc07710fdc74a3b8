import { outputOf } from './system-tools.ts';

/** The NVIDIA devices that a process may use, by the ids that they keep wherever they are plugged in. */

/** `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5a1c…)`, and below it `  MIG 1g.10gb Device 0: (UUID: MIG-7d…)`. */
const LINE = /^(\s*)(GPU|MIG)\b.*\(UUID: ([\w-]+)\)/;

/**
 * Ids of the devices that CUDA would show, in its order; none without nvidia-smi. A device that is split by MIG counts
 * as its parts.
 * @param visible entries of CUDA_VISIBLE_DEVICES; undefined: every device.
 */
export async function nvidiaDevices(visible: readonly string[] | undefined): Promise<string[]> {
  return visibleDevices((await outputOf('nvidia-smi', ['-L'])) ?? '', visible);
}

/** @param listing what `nvidia-smi -L` prints. */
export function visibleDevices(listing: string, visible: readonly string[] | undefined): string[] {
  const devices: { readonly id: string; readonly parts: string[] }[] = [];
  for (const line of listing.split('\n')) {
    const [, , kind, id] = LINE.exec(line) ?? [];
    if (kind === 'GPU' && id) devices.push({ id, parts: [] });
    if (kind === 'MIG' && id) devices.at(-1)?.parts.push(id);
  }
  const idsOf = ({ id, parts }: (typeof devices)[number]) => (parts.length > 0 ? parts : [id]);
  if (visible === undefined) return devices.flatMap(idsOf);
  const shown: string[] = [];
  for (const entry of visible.map((text) => text.trim())) {
    const found = /^\d+$/.test(entry)
      ? devices[Number(entry)]
      : devices.find(({ id }) => entry && id.startsWith(entry));
    const part = devices.flatMap(({ parts }) => parts).find((id) => entry !== '' && id.startsWith(entry));
    // As CUDA does: what comes behind an entry that is no device is not shown.
    if (!found && !part) break;
    shown.push(...(found ? idsOf(found) : [part as string]));
  }
  return [...new Set(shown)];
}
