import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MACHINE } from './harness/machine.ts';

const OUT_DIR = fileURLToPath(new URL('./out/', import.meta.url));

/** Writes bench/out/<name>.json. */
export async function saveFigures(name: string, figures: object): Promise<void> {
  await mkdir(OUT_DIR, { recursive: true });
  await writeFile(path.join(OUT_DIR, `${name}.json`), `${JSON.stringify({ machine: MACHINE, ...figures }, null, 2)}\n`);
}
