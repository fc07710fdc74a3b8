import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const OUT_DIR = fileURLToPath(new URL('./out/', import.meta.url));

/** What the figures were taken on. */
export const MACHINE = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}`;

/** Writes bench/out/<name>.json. */
export async function saveFigures(name: string, figures: object): Promise<void> {
  await mkdir(OUT_DIR, { recursive: true });
  await writeFile(path.join(OUT_DIR, `${name}.json`), `${JSON.stringify({ machine: MACHINE, ...figures }, null, 2)}\n`);
}
