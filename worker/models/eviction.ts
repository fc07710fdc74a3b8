/** Chooses the model that is unloaded when another needs the room. Pure: the registry counts and unloads. */

export type EvictionPolicy = 'lfu' | 'lru';

/** How much a model has been used in this process, also before it was last unloaded. */
export interface UseCount {
  readonly uses: number;
  /** By performance.now(); less than 0 when it was never used. */
  readonly lastUsedAtMs: number;
}

/**
 * The candidate to unload first, or undefined when there is none.
 * @param policy `lfu`: the least used, among equals the one unused for longest; `lru`: the one unused for longest.
 */
export function chooseVictim<T>(
  candidates: Iterable<T>,
  countOf: (candidate: T) => UseCount,
  policy: EvictionPolicy,
): T | undefined {
  const before = (a: UseCount, b: UseCount) =>
    (policy === 'lfu' ? a.uses - b.uses : 0) || a.lastUsedAtMs - b.lastUsedAtMs;
  let victim: T | undefined;
  for (const candidate of candidates) {
    if (victim === undefined || before(countOf(candidate), countOf(victim)) < 0) victim = candidate;
  }
  return victim;
}
