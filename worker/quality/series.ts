/** Arithmetic on values of frames that follow each other. */

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] as number;
  return values.length === 0 ? 0 : sum / values.length;
}

export function deviationOf(values: ArrayLike<number>): number {
  const mean = meanOf(values);
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += ((values[at] as number) - mean) ** 2;
  return values.length === 0 ? 0 : Math.sqrt(sum / values.length);
}

/** The value that a share of all values does not exceed. @param share 0 … 1. */
export function quantileOf(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/**
 * What of each value is above the mean of those around it: slow changes go, a syllable stays.
 * @param reach values on each side that count.
 */
export function withoutDrift(values: ArrayLike<number>, reach: number): Float64Array {
  const sums = new Float64Array(values.length + 1);
  for (let at = 0; at < values.length; at++) sums[at + 1] = (sums[at] as number) + (values[at] as number);
  return Float64Array.from({ length: values.length }, (_, at) => {
    const [from, to] = [Math.max(0, at - reach), Math.min(values.length, at + reach + 1)];
    return (values[at] as number) - ((sums[to] as number) - (sums[from] as number)) / (to - from);
  });
}

/** The stretches of values whose places are all chosen, in order. */
export function runsOf(values: readonly number[], isChosen: (place: number) => boolean): number[][] {
  const runs: number[][] = [];
  for (const [place, value] of values.entries()) {
    if (!isChosen(place)) continue;
    if (place === 0 || !isChosen(place - 1)) runs.push([]);
    runs.at(-1)?.push(value);
  }
  return runs;
}

/**
 * Pearson's correlation of `first` with what `second` has `lag` places later; 0 where one of them does not change.
 * @param counts whether a place of `first` counts.
 */
export function correlationOf(
  first: Float64Array,
  second: Float64Array,
  lag: number,
  counts: (place: number) => boolean = () => true,
): number {
  const [from, to] = [Math.max(0, -lag), Math.min(first.length, second.length - lag)];
  const [a, b]: [number[], number[]] = [[], []];
  for (let at = from; at < to; at++) {
    if (!counts(at)) continue;
    a.push(first[at] as number);
    b.push(second[at + lag] as number);
  }
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [both, squaresA, squaresB] = [0, 0, 0];
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [(a[at] as number) - meanA, (b[at] as number) - meanB];
    both += x * y;
    squaresA += x * x;
    squaresB += y * y;
  }
  return squaresA > 0 && squaresB > 0 ? both / Math.sqrt(squaresA * squaresB) : 0;
}
