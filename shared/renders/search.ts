import type { RenderRequest } from './record.ts';

/** Looking for renders by words: what a render is found by is in its record, in the form in which words are compared. */

/** Characters of a text to search for. */
export const SEARCH_MAX = 100;

/** What a render is found by: its id, file name, model and labels. No word reaches from one into the next. */
export function searchTextOf(renderId: string, { fileName, modelId, labels = {} }: RenderRequest): string {
  const notes = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return comparable([renderId, fileName, modelId, ...notes].join(' '));
}

/** The words of a text: all of them must be in a render's text, each as a part of a word. */
export function searchWordsOf(text: string): string[] {
  return comparable(text).split(/\s+/u).filter(Boolean);
}

/** Without regard to case, and to whether an accent is a character of its own, as in file names of macOS. */
function comparable(text: string): string {
  return text.normalize('NFC').toLowerCase();
}
