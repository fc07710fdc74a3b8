/** Times of work that is done again and again. */

export interface Timed {
  /** Wall and CPU milliseconds of each round, divided by `units`. CPU is that of all threads of this process. */
  readonly ms: number[];
  readonly cpuMs: number[];
}

export interface Rounds {
  /** Rounds that are kept. */
  readonly rounds: number;
  /** Rounds before them that are not: code is compiled, caches fill. */
  readonly warmUp?: number;
  /** Units of work in one round: frames, say. */
  readonly units?: number;
  /** Milliseconds after which no further round begins, once three are kept (20 000): on a busy machine rounds take long. */
  readonly withinMs?: number;
}

/** Rounds that are kept however long they take. */
const FEWEST_ROUNDS = 3;

/**
 * Does several kinds of work in turn, round by round, so that a machine that slows down slows all of them: only such
 * figures may be divided by each other.
 */
export async function inTurn<K extends string>(
  kinds: Readonly<Record<K, () => unknown>>,
  { rounds, warmUp = 3, units = 1, withinMs = 20_000 }: Rounds,
): Promise<Record<K, Timed>> {
  const names = Object.keys(kinds) as K[];
  const timed = Object.fromEntries(names.map((name) => [name, { ms: [], cpuMs: [] }])) as unknown as Record<K, Timed>;
  const endsAt = performance.now() + withinMs;
  for (let round = -warmUp; round < rounds; round++) {
    if (round >= FEWEST_ROUNDS && performance.now() > endsAt) break;
    for (const name of names) {
      const cpu = process.cpuUsage();
      const startedAt = performance.now();
      await kinds[name]();
      const ms = performance.now() - startedAt;
      const { user, system } = process.cpuUsage(cpu);
      if (round < 0) continue;
      timed[name].ms.push(ms / units);
      timed[name].cpuMs.push((user + system) / 1000 / units);
    }
  }
  return timed;
}

/** Each round's value of one kind divided by that of the other. */
export function ratios(values: readonly number[], to: readonly number[]): number[] {
  return values.map((value, round) => value / (to[round] ?? Number.NaN));
}
