import { distance } from 'fastest-levenshtein';

/** The candidate that takes the fewest keystrokes to become from `word`, for "did you mean"; undefined of none. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((candidate) => ({ candidate, steps: distance(word, candidate) }));
  return ranked.sort((a, b) => a.steps - b.steps)[0]?.candidate;
}

/** `unknown key "colour"; did you mean "color"?`, or what there is instead when nothing is. */
export function unknownName(kind: string, name: string, known: readonly string[]): string {
  const closest = nearest(name, known);
  return `unknown ${kind} "${name}"; ${closest ? `did you mean "${closest}"?` : `there is no ${kind} here`}`;
}
