import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from './random.ts';

/**
 * Tries doors of the farm with cases that are made from a seed. `npm test` runs a few hundred; `npm run test:fuzz --
 * --cases N --seed S --door D` as many as are wished, and `--case I` one of them again.
 */

export interface DoorOptions {
  /** How many cases `npm test` tries. */
  readonly cases: number;
  /** Of a long run of all doors: the share of its cases, in percent. */
  readonly percent: number;
  /** Cases that are tried at the same time. */
  readonly atOnce?: number;
  /** A case that takes longer hangs. */
  readonly withinMs?: number;
}

const MOST_FINDINGS = 5;
const SAY_EVERY_MS = 10_000;

const { FUZZ_CASES, FUZZ_SEED, FUZZ_DOOR, FUZZ_CASE } = process.env;
/** `npm test` says the same of the same code whenever it runs; a long run finds something new each time. */
const seed = Number(FUZZ_SEED ?? (FUZZ_CASES === undefined ? 1 : Math.floor(Math.random() * 2 ** 31)));

/** Whether any of these doors is to be tried: what they need is started then only. */
export function isChosen(...names: readonly string[]): boolean {
  return FUZZ_DOOR === undefined || names.includes(FUZZ_DOOR);
}

/**
 * Registers the test of one door.
 * @param attempt makes one case and tries it; rejects when the farm behaves as it must not.
 */
export function fuzz(name: string, options: DoorOptions, attempt: (random: Random) => Promise<void>): void {
  if (!isChosen(name)) return;
  const total = casesOf(options);
  const cases = FUZZ_CASE === undefined ? `${total} cases` : `case ${FUZZ_CASE}`;
  it(`${name}: ${cases} of seed ${seed} are taken, or refused in the catalogue's words`, async () => {
    const findings: string[] = [];
    const startedMs = performance.now();
    let [next, saidMs] = [FUZZ_CASE === undefined ? 0 : Number(FUZZ_CASE), startedMs];
    const end = FUZZ_CASE === undefined ? total : next + 1;
    const work = async () => {
      while (next < end && findings.length < MOST_FINDINGS) {
        const index = next++;
        const fault = await faultOf(() => attempt(new Random(seed, name, index)), options.withinMs);
        if (fault !== undefined)
          findings.push(`${fault}\n  again: npm run test:fuzz -- --door ${name} --seed ${seed} --case ${index}`);
        if (FUZZ_CASES === undefined || performance.now() - saidMs < SAY_EVERY_MS) continue;
        saidMs = performance.now();
        console.log(`${name}: ${next} of ${end}`);
      }
    };
    await Promise.all(Array.from({ length: options.atOnce ?? 1 }, work));
    const seconds = (performance.now() - startedMs) / 1000;
    if (FUZZ_CASES !== undefined) console.log(`${name}: ${next} cases in ${seconds.toFixed(0)} s, seed ${seed}`);
    assert.ok(findings.length === 0, `${findings.length} findings:\n${findings.join('\n')}`);
  });
}

function casesOf({ cases, percent }: DoorOptions): number {
  if (FUZZ_CASES === undefined) return cases;
  return FUZZ_DOOR === undefined ? Math.ceil((Number(FUZZ_CASES) * percent) / 100) : Number(FUZZ_CASES);
}

async function faultOf(work: () => Promise<void>, withinMs = 20_000): Promise<string | undefined> {
  const over = new AbortController();
  const late = delay(withinMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${withinMs / 1000} s`);
  });
  try {
    await Promise.race([work(), late]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    over.abort();
    late.catch(() => {});
  }
}
