import { distance } from 'fastest-levenshtein';

const SHOWN_CHARACTERS = 80;

/** What was got, for a message: as it was written, but not pages of it. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return `got ${text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text}`;
}

/** `unknown field "colour" (did you mean "color"?)`, or what there is when nothing is that close. */
export function unknownName(kind: string, name: string, known: readonly string[]): string {
  return `unknown ${kind} "${name}" (${insteadOf(name, known)})`;
}

/** `did you mean "color"?`, or what there is when nothing takes few enough keystrokes to become from `name`. */
export function insteadOf(name: string, known: readonly string[]): string {
  const ranked = known.map((candidate) => ({ candidate, steps: distance(name, candidate) }));
  const [closest] = ranked.sort((a, b) => a.steps - b.steps);
  if (closest === undefined) return 'there is none';
  const isClose = closest.steps <= Math.min(name.length - 1, Math.max(2, name.length / 3));
  return isClose ? `did you mean "${closest.candidate}"?` : `there are ${known.join(', ')}`;
}
