import { checkInput, checkOutput } from '../client/node/files.ts';
import type { JsonOption } from './options.ts';
import { runEntry } from './run-entry.ts';
import { ENTRIES } from './supervisor/farm-processes.ts';

/** `farm inspect mel IN OUT`: the worker's own code does it. */
export async function inspectMel(audioPath: string, outputPath: string, { json }: JsonOption): Promise<void> {
  await checkInput(audioPath);
  await checkOutput(outputPath, { overwrite: true, input: audioPath });
  await runEntry(ENTRIES.inspectMel, [...(json ? ['--json'] : []), '--', audioPath, outputPath]);
}
