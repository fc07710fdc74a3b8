import type { StoredFile } from '../artifacts/store.ts';
import type { Part, RenderFolder } from '../retention/leftover.ts';

/** Files `renders/<folder>/<part>…` → the folders of renders, as on a disk. A bucket has no folders of its own. */
export async function foldersOf(files: AsyncIterable<StoredFile>): Promise<RenderFolder[]> {
  const folders = new Map<string, Map<string, Part>>();
  for await (const { key, bytes, quietMs } of files) {
    const [, folder = '', name = ''] = key.split('/');
    const parts = folders.get(folder) ?? new Map<string, Part>();
    folders.set(folder, parts);
    const before = parts.get(name);
    parts.set(name, {
      name,
      bytes: bytes + (before?.bytes ?? 0),
      quietMs: Math.min(quietMs, before?.quietMs ?? quietMs),
    });
  }
  return [...folders].map(([name, byName]) => {
    const parts = [...byName.values()];
    return {
      name,
      parts,
      quietMs: Math.min(...parts.map(({ quietMs }) => quietMs)),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  });
}
