import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * `npm run test:fuzz -- --cases N --seed S --door D`: N cases, spread over all doors or of one; the seed is said, so that
 * the same can be tried again, and `--case I` tries the one of that number alone.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DEFAULT_CASES = '100000';

const number = (text: string, name: string): string => {
  if (/^\d{1,9}$/.test(text)) return text;
  console.error(`--${name} is "${text}": expected a whole number`);
  process.exit(1);
};

const { values } = parseArgs({
  options: Object.fromEntries(['cases', 'seed', 'door', 'case'].map((name) => [name, { type: 'string' as const }])),
});
const { cases = DEFAULT_CASES, seed = String(Math.floor(Math.random() * 2 ** 31)), door, case: only } = values;
const environment = {
  ...process.env,
  FUZZ_CASES: number(cases, 'cases'),
  FUZZ_SEED: number(seed, 'seed'),
  ...(door === undefined ? {} : { FUZZ_DOOR: door }),
  ...(only === undefined ? {} : { FUZZ_CASE: number(only, 'case') }),
};
console.log(
  `${only === undefined ? `${cases} cases` : `case ${only}`}, seed ${seed}${door === undefined ? '' : `, door ${door}`}`,
);
const files = globSync('test/fuzz/*.test.ts', { cwd: ROOT });
const options = ['--test', '--test-concurrency=1', '--test-reporter=spec'];
const { status } = spawnSync(process.execPath, [...options, ...files], {
  cwd: ROOT,
  env: environment,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
