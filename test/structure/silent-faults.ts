import { type SourceFile, withoutComments } from './source-imports.ts';

/** Finds the places that let a fault go without a word, in the text of the sources. */

/** What a handler answers that looks at nothing. */
const CONSTANT = String.raw`(?:\{\s*\}|undefined\b|null\b|true\b|false\b|0\b|''|\[\]|\(\{)`;
/** As the handler of `.catch`, and of events named error. */
const DEAF = new RegExp(
  String.raw`\.(?:catch\(|on(?:ce)?\(\s*['"]error['"],)\s*(?:async\s+)?(?:\(\s*\w*\s*\)(?:\s*:[^=]*)?|\w+)\s*=>\s*${CONSTANT}`,
  'g',
);
/** After another argument: the second handler of `.then`, or of a call that wants to be told of faults. */
const DEAF_SECOND = /(?<=,\s*)\(\s*\)(?:\s*:[^=]*)?\s*=>\s*(?:\{\s*\}|undefined\b|null\b|0\b|\[\])/g;
const CATCH_WITHOUT_FAULT = /\.catch\(\s*(?:async\s+)?\(\s*\)(?:\s*:[^=]*)?\s*=>([^;]*)/g;
const CATCH_BLOCK = /\bcatch\s*(?:\(\s*(\w+)[^)]*\)\s*)?\{([^{}]*)\}/g;
const WITHOUT_REASON = /\b(?:ignored|logged)(?:<[^>]*>)?\(\s*(?:\)|(['"`])\s*\1)/g;

/** One line for each place, naming the file and its line. */
export function findSilentFaults({ path, text }: SourceFile): string[] {
  const code = withoutComments(text, { keepTemplates: true });
  const wrong = [...code.matchAll(DEAF), ...code.matchAll(DEAF_SECOND), ...code.matchAll(WITHOUT_REASON)];
  for (const match of code.matchAll(CATCH_WITHOUT_FAULT)) if (!/\bthrow/.test(match[1] ?? '')) wrong.push(match);
  for (const match of text.matchAll(CATCH_BLOCK)) {
    const [, name, block = ''] = match;
    const usesFault = name !== undefined && new RegExp(String.raw`\b${name}\b`).test(block);
    if (!usesFault && !/\/\/|\/\*|\bthrow\b/.test(block)) wrong.push(match);
  }
  const lines = new Set(wrong.map(({ index }) => text.slice(0, index).split('\n').length));
  return [...lines].sort((a, b) => a - b).map((line) => `${path}:${line}`);
}
