import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm test`: types, lint, then all tests (the import rules are among them), in one readable run that fails if any part
 * does. Words after `--` choose tests: a file, a folder, a part of a file's name, or an option of `node --test`:
 * `npm test -- mel`, `npm test -- test/pipeline --test-name-pattern=silence`. `--check-only` stops after the import rules.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIN = join(ROOT, 'node_modules', '.bin');
const ALL_TESTS = '{api,avatars,bench,cli,client,scripts,shared,studio,test,worker}/**/*.test.ts';
const RULES = 'test/structure/import-rules.test.ts';
/** Test files start Redis, ffmpeg and ONNX sessions of their own; more at once would measure each other. */
const FILES_AT_ONCE = 2;
/** No single test may hang the run. */
const TEST_TIMEOUT_MS = 240_000;

/** What a machine may lack, and the tests that are then skipped. */
const OPTIONAL = [
  {
    has: () => existsSync(process.env.REFERENCE_DIR ?? ''),
    skipped: 'the comparison with the original Python numbers: set REFERENCE_DIR to their folder',
  },
];

function main(args: string[]): number {
  const checkOnly = args.includes('--check-only');
  const words = args.filter((arg) => arg !== '--check-only');
  const tests = checkOnly ? [RULES] : chooseTests(words.filter((word) => !word.startsWith('-')));
  if (tests.length === 0) {
    console.error(`No test file matches ${words.join(' ')}`);
    return 1;
  }
  const failed = [
    run('Types', ['tsc', '--noEmit']),
    run('Lint', ['biome', 'check', '--error-on-warnings']),
    runTests(checkOnly ? 'Import rules' : 'Tests', tests, words),
  ].filter((part) => part !== undefined);
  if (failed.length > 0) console.error(`\nFailed: ${failed.join(', ')}. See above.`);
  return failed.length > 0 ? 1 : 0;
}

function chooseTests(words: string[]): string[] {
  const all = globSync(ALL_TESTS, { cwd: ROOT }).sort();
  if (words.length === 0) return all;
  return all.filter((file) => words.some((word) => matches(file, word)));
}

function matches(file: string, word: string): boolean {
  const path = word.replace(/^\.\//, '').replace(/\/$/, '');
  const isFolder = statSync(join(ROOT, path), { throwIfNoEntry: false })?.isDirectory();
  return isFolder ? file.startsWith(`${path}/`) : file.includes(path);
}

function runTests(title: string, tests: string[], words: string[]): string | undefined {
  const options = words.filter((word) => word.startsWith('-'));
  const limits = [`--test-concurrency=${FILES_AT_ONCE}`, `--test-timeout=${TEST_TIMEOUT_MS}`];
  for (const { has, skipped } of OPTIONAL) if (!has()) console.log(`\nSkipped here: ${skipped}`);
  return run(title, [process.execPath, '--test', '--test-reporter=spec', ...limits, ...options, ...tests]);
}

/** Runs one part under its heading; the title when it failed. */
function run(title: string, [command = '', ...args]: string[]): string | undefined {
  console.log(`\n── ${title} ${'─'.repeat(Math.max(0, 76 - title.length))}`);
  const env = {
    ORT_DISABLE_TELEMETRY: '1',
    // The tests start some hundred processes, which spend a third of their start compiling the same files.
    NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'node'),
    ...process.env,
    PATH: `${BIN}${delimiter}${process.env.PATH ?? ''}`,
  };
  const { status, error } = spawnSync(command, args, { cwd: ROOT, env, stdio: 'inherit' });
  if (error) console.error(error.message);
  return status === 0 ? undefined : title;
}

process.exitCode = main(process.argv.slice(2));
