import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TestReport } from './test-report.ts';

/**
 * `npm test`: types, lint, then all tests (the import rules are among them), in one readable run that fails if any part
 * does, and says at its end what was slowest and what was skipped. Words after `--` choose tests: a file, a folder, a
 * part of a file's name; `--test-name-pattern` and `--test-skip-pattern` choose by the name of the test, as with
 * `node --test`: `npm test -- mel`, `npm test -- test/pipeline --test-name-pattern=silence`. `--check-only` stops after
 * the import rules. `--faults` (`npm run test:faults`) runs the long tests of faults instead, one after the other.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIN = join(ROOT, 'node_modules', '.bin');
const ALL_TESTS = '{api,avatars,bench,cli,client,scripts,shared,studio,test,worker}/**/*.test.ts';
const FAULT_TESTS = 'test/faults/*.faults.ts';
const RULES = 'test/structure/import-rules.test.ts';
/** One more than cores: tests of crashes wait for locks to run out. Each may start a whole farm, so not many. */
const FILES_AT_ONCE = Math.min(4, availableParallelism() + 1);
/** No file may hang the run. It is the time of a whole file, so that of the longest on a slow machine must fit. */
const TEST_TIMEOUT_MS = 600_000;
const FAULT_TIMEOUT_MS = 900_000;

interface Choice {
  readonly checkOnly: boolean;
  readonly faults: boolean;
  /** Paths of test files, from the root. */
  readonly files: readonly string[];
  readonly namePatterns: readonly string[];
  readonly skipPatterns: readonly string[];
}

async function main(args: string[]): Promise<boolean> {
  const startedMs = performance.now();
  prepareEnvironment();
  const choice = readChoice(args);
  const parts = [
    { title: 'Types', passed: () => runTool('tsc', '--noEmit') && runTool('tsc', '--noEmit', '-p', 'studio') },
    { title: 'Lint', passed: () => runTool('biome', 'check', '--error-on-warnings') },
    { title: choice.checkOnly ? 'Import rules' : 'Tests', passed: () => runTests(choice) },
  ];
  const failed: string[] = [];
  for (const { title, passed } of parts) {
    console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 76 - title.length))}`);
    if (!(await passed())) failed.push(title);
  }
  console.log(`${minutes(performance.now() - startedMs)} in all`);
  if (failed.length > 0) console.error(`Failed: ${failed.join(', ')}. See above.`);
  return failed.length === 0;
}

function prepareEnvironment(): void {
  process.chdir(ROOT);
  Object.assign(process.env, {
    ORT_DISABLE_TELEMETRY: '1',
    // The tests start some hundred processes, which spend a third of their start compiling the same files.
    NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'node'),
    ...process.env,
    PATH: `${BIN}${delimiter}${process.env.PATH ?? ''}`,
  });
}

function readChoice(args: string[]): Choice {
  const { values, positionals: words } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      'check-only': { type: 'boolean', default: false },
      faults: { type: 'boolean', default: false },
      'test-name-pattern': { type: 'string', multiple: true, default: [] },
      'test-skip-pattern': { type: 'string', multiple: true, default: [] },
    },
  });
  const files = values['check-only'] ? [RULES] : chooseFiles(values.faults ? FAULT_TESTS : ALL_TESTS, words);
  if (files.length === 0) throw new Error(`No test file matches ${words.join(' ')}`);
  return {
    checkOnly: values['check-only'],
    faults: values.faults,
    files,
    namePatterns: values['test-name-pattern'],
    skipPatterns: values['test-skip-pattern'],
  };
}

function chooseFiles(pattern: string, words: readonly string[]): string[] {
  const all = globSync(pattern).sort();
  if (words.length === 0) return all;
  return all.filter((file) => words.some((word) => matches(file, word)));
}

function matches(file: string, word: string): boolean {
  const path = word.replace(/^\.\//, '').replace(/\/$/, '');
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory();
  return isFolder ? file.startsWith(`${path}/`) : file.includes(path);
}

async function runTests({ faults, files, namePatterns, skipPatterns }: Choice): Promise<boolean> {
  const tests = run({
    files,
    concurrency: faults ? 1 : FILES_AT_ONCE,
    timeout: faults ? FAULT_TIMEOUT_MS : TEST_TIMEOUT_MS,
    testNamePatterns: [...namePatterns],
    testSkipPatterns: [...skipPatterns],
  });
  const report = new TestReport(tests, ROOT);
  const results = tests.compose(spec);
  results.pipe(process.stdout);
  await once(results, 'end');
  console.log(['', ...report.lines()].join('\n'));
  return report.succeeded;
}

function runTool(command: string, ...args: string[]): boolean {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error) console.error(error.message);
  return status === 0;
}

function minutes(durationMs: number): string {
  const seconds = Math.round(durationMs / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} min`;
}

try {
  if (!(await main(process.argv.slice(2)))) process.exitCode = 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
