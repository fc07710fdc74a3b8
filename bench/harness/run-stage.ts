import { pathToFileURL } from 'node:url';
import { stopBenchFarms } from '../bench-farm.ts';
import type { Row, Stage } from './contract.ts';

/**
 * The process of one stage: `node run-stage.ts FILE [ROOT OF THE BUILD BEFORE]`. Sends its rows, or why there are none,
 * to the process that started it. When that one goes, or says SIGTERM, it stops the farms that it started and ends.
 */

export type StageMessage = { readonly rows: readonly Row[] } | { readonly failed: string };

const ended = new AbortController();

async function endEarly(): Promise<never> {
  ended.abort();
  await stopBenchFarms();
  process.exit(1);
}

async function main(file: string, before: string | undefined): Promise<StageMessage> {
  try {
    const { stage } = (await import(pathToFileURL(file).href)) as { stage: Stage };
    const rows = await stage.measure({ before, signal: ended.signal });
    const names = new Set(rows.map(({ name }) => name));
    if (names.size < rows.length) throw new RangeError('Two rows have the same name');
    return { rows };
  } catch (error) {
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

process.once('SIGTERM', () => void endEarly());
process.once('disconnect', () => void endEarly());
const [file, before] = process.argv.slice(2);
if (!file || !process.send) throw new Error('This is started by bench/bench.ts');
const message = await main(file, before);
if (!ended.signal.aborted) process.send(message, () => process.exit('failed' in message ? 1 : 0));
