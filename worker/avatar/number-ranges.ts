/** Stretches of numbers that a message lists. */
const LISTED = 5;

/**
 * Numbers in words: "4", "301–350", "1, 3–5 and 20 more".
 * @param numbers whole ones, in any order, each once.
 */
export function numberRanges(numbers: readonly number[]): string {
  const runs: { first: number; last: number }[] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && run.last === number - 1) run.last = number;
    else runs.push({ first: number, last: number });
  }
  return rangesInWords(runs);
}

/** The same of stretches, ascending, both ends included: a gap in numbers may be as long as the numbers are large. */
export function rangesInWords(runs: readonly { readonly first: number; readonly last: number }[]): string {
  const words = runs.slice(0, LISTED).map(({ first, last }) => (first === last ? `${first}` : `${first}–${last}`));
  const left = runs.slice(LISTED).reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return `${words.join(', ')}${left > 0 ? ` and ${left} more` : ''}`;
}

/** "picture 4", "pictures 4–7". */
export function numbered(what: string, numbers: readonly number[]): string {
  return `${what}${numbers.length === 1 ? '' : 's'} ${numberRanges(numbers)}`;
}
