import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Row } from './contract.ts';

const finite = z.number();

/** A row in the JSON: the stage stands before the name, and it says on what machine it was measured. */
const resultSchema = z.object({
  name: z.string(),
  unit: z.string(),
  median: finite,
  p10: finite,
  p90: finite,
  cpuMs: finite.nullable(),
  limit: finite.nullable(),
  limitIs: z.enum(['most', 'least']).default('most'),
  machine: z.string().optional(),
});

export type Result = z.infer<typeof resultSchema>;

export function resultsOf(stage: string, rows: readonly Row[], machine: string): Result[] {
  return rows.map((row) => ({ ...row, name: `${stage}: ${row.name}`, machine }));
}

/** Writes the results of one run; makes the folder where it is missing. */
export async function saveResults(file: string, results: readonly Result[]): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const lines = results.map((result) => `  ${JSON.stringify(result)}`);
  await writeFile(file, `[\n${lines.join(',\n')}\n]\n`);
}

/** The results of an earlier run. Error that names the file where it cannot be read or holds anything else. */
export async function readResults(file: string): Promise<Result[]> {
  const parsed = z.array(resultSchema).safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file} is no result of npm run bench: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
