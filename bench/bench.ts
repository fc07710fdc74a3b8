import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { checkOut } from './harness/build-before.ts';
import { ratioToLimit, type Stage } from './harness/contract.ts';
import { busyWarning, MACHINE, machineState } from './harness/machine.ts';
import { type Result, readResults, resultsOf, saveResults } from './harness/results.ts';
import { runStage } from './harness/stage-process.ts';
import { tableOf } from './harness/table.ts';

/**
 * `npm run bench -- [STAGE…] [--before REF] [--compare FILE] [--out FILE]`: measures the stages one after the other, each
 * in a process of its own, prints one table and writes bench/out/latest.json. Exit code 1 when a stage failed; a limit
 * that is not kept is marked and does not change the exit code, as it may be the machine.
 */

const HELP = `npm run bench -- [STAGE…] [options]
  --list           the stages, and what each measures
  --before REF     check that commit out beside this build and measure it, too, where a stage can
  --compare FILE   show by how much each figure differs from an earlier run's JSON
  --out FILE       where to write this run's JSON (bench/out/latest.json)
`;
const STAGES_DIR = fileURLToPath(new URL('./stages/', import.meta.url));
const LATEST = fileURLToPath(new URL('./out/latest.json', import.meta.url));
/** All stages together. One that cannot begin before counts as failed. */
const ALL_WITHIN_MS = 600_000;

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean' },
      list: { type: 'boolean' },
      before: { type: 'string' },
      compare: { type: 'string' },
      out: { type: 'string', default: LATEST },
    },
  });
  if (values.help) return say(HELP);
  const stages = await chosen(positionals);
  if (values.list) return say(stages.map(({ name, stage }) => `${name.padEnd(16)}${stage.about}`).join('\n'));
  const earlier = values.compare === undefined ? undefined : await readResults(values.compare);
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
  await using other = values.before === undefined ? undefined : await checkOut(values.before);
  const { results, failed } = await measure(stages, { before: other?.root, signal: stopped.signal });
  await saveResults(values.out, results);
  report(results, earlier, failed);
  say(`\nWritten to ${path.relative('.', values.out)}.`);
}

type NamedStage = Awaited<ReturnType<typeof chosen>>[number];

/** The stages of these names, or all of them. Error for a name that there is not. */
async function chosen(names: readonly string[]) {
  const all = readdirSync(STAGES_DIR)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
    .sort();
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`No stage ${unknown.join(', ')}; there are ${all.join(', ')}`);
  return Promise.all(
    (names.length > 0 ? names : all).map(async (name) => {
      const file = path.join(STAGES_DIR, `${name}.ts`);
      const { stage } = (await import(pathToFileURL(file).href)) as { stage: Stage };
      return { name, file, stage };
    }),
  );
}

async function measure(stages: readonly NamedStage[], given: { before: string | undefined; signal: AbortSignal }) {
  const endsAt = performance.now() + ALL_WITHIN_MS;
  const results: Result[] = [];
  const failed: string[] = [];
  for (const { name, file, stage } of stages) {
    const limitMs = Math.min(stage.limitS * 1000, endsAt - performance.now());
    if (limitMs < 1000 || given.signal.aborted) {
      failed.push(`${name}: it did not run, since the time for all stages was up`);
      continue;
    }
    const state = await machineState();
    const warning = busyWarning(state);
    process.stderr.write(`${name}: ${stage.about}\n${warning ? `  ${warning}\n` : ''}`);
    const { rows, failed: why, seconds } = await runStage({ file, limitMs, ...given });
    if (why !== undefined) failed.push(`${name}: ${why}`);
    process.stderr.write(`  ${why === undefined ? `${rows.length} rows` : 'failed'} in ${seconds.toFixed(1)} s\n`);
    const busy = warning ? `, busy: ${Math.round(100 * state.freeShare)} % of them free` : '';
    results.push(...resultsOf(name, rows, `${MACHINE}, load ${state.load.toFixed(1)}${busy}`));
  }
  return { results, failed };
}

function report(results: readonly Result[], earlier: readonly Result[] | undefined, failed: readonly string[]): void {
  say(`\n${MACHINE}\n`);
  say(tableOf(results, earlier));
  const over = results.filter((result) => (ratioToLimit(result) ?? 0) > 1);
  if (over.length > 0) say(`\n✗ ${over.length} of ${results.length} figures do not keep to their limit.`);
  if (results.some(({ machine }) => machine?.includes('busy'))) {
    say('\nThe machine was busy during some stages (the JSON says which): read ratios and CPU times only.');
  }
  for (const why of failed) say(`\n✗ ${why}`);
  if (failed.length > 0) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
