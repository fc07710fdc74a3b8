import { distance } from 'fastest-levenshtein';

/** The candidate that is closest to `word` in keystrokes, for "did you mean"; undefined when there are no candidates. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((candidate) => ({ candidate, steps: distance(word, candidate) }));
  return ranked.sort((a, b) => a.steps - b.steps)[0]?.candidate;
}

const SHOWN_CHARACTERS = 80;

/** What was got, for a message: as it was written, but not pages of it. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return `got ${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text}`;
}

/** `unknown field "colour" (did you mean "color"?)`, or what there is when nothing is that close. */
export function unknownName(kind: string, name: string, known: readonly string[]): string {
  const closest = nearest(name, known);
  const isClose = closest !== undefined && distance(name, closest) <= Math.max(2, name.length / 3);
  const help = isClose
    ? `did you mean "${closest}"?`
    : known.length > 0
      ? `there are ${known.join(', ')}`
      : 'there is none';
  return `unknown ${kind} "${name}" (${help})`;
}
