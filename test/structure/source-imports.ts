/** What one source file imports and reads of the environment, found in its text without running a compiler. */

export interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** As written: './mel.ts', 'bullmq', 'node:fs'. */
  readonly specifier: string;
  /** From the repository's root for files of ours, else undefined. */
  readonly file: string | undefined;
  /** True when nothing of it is left at run time: `import type` and `export type`. */
  readonly typesOnly: boolean;
}

/** \x60 is the backtick: written plainly it would open a template for this very expression. */
const COMMENT_OR_LITERAL =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\x60(?:\\[\s\S]|[^\x60\\])*\x60/g;
const STATIC =
  /^[ \t]*(?:import|export)\s+(type\s+)?(?:[\w*$\s{},]*?\sfrom\s*|[\w*$]*\{[^{}]*\}\s*from\s*)?(['"])([^'"\n]+)\2/gm;
const DYNAMIC = /\b(?:import|require|require\.resolve|import\.meta\.resolve)\s*\(\s*(['"])([^'"\n]+)\1/g;
const WORKER_FILE = /new\s+URL\(\s*(['"])(\.[^'"\n]+\.ts)\1\s*,\s*import\.meta\.url\s*\)/g;

/** All imports, re-exports, dynamic imports and `new URL('./x.ts', import.meta.url)` of a file, in the order of the text. */
export function importsOf({ path, text }: SourceFile): Import[] {
  const code = withoutComments(text, { keepTemplates: false });
  const statics = [...code.matchAll(STATIC)].map((match) => ({
    index: match.index,
    specifier: match[3] ?? '',
    typesOnly: match[1] !== undefined || hasOnlyInlineTypes(match[0]),
  }));
  const others = [...code.matchAll(DYNAMIC), ...code.matchAll(WORKER_FILE)].map((match) => ({
    index: match.index,
    specifier: match[2] ?? '',
    typesOnly: false,
  }));
  return [...statics, ...others]
    .sort((left, right) => left.index - right.index)
    .map(({ specifier, typesOnly }) => ({ specifier, typesOnly, file: resolve(path, specifier) }));
}

export function readsProcessEnv(file: SourceFile): boolean {
  const code = withoutComments(file.text, { keepTemplates: true });
  return (
    /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*\[\s*['"]env['"]/.test(code) ||
    /\{[^{}=]*\benv\b[^{}=]*\}\s*(?:=\s*process\b|from\s*['"](?:node:)?process['"])/.test(code)
  );
}

/** `import { type A, type B } from`: verbatimModuleSyntax keeps the import itself, yet only types are used of it. */
function hasOnlyInlineTypes(statement: string): boolean {
  const names = /\{([^}]*)\}/
    .exec(statement)?.[1]
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const hasDefault = /^\s*import\s+[\w$*]/.test(statement);
  return names !== undefined && names.length > 0 && !hasDefault && names.every((name) => name.startsWith('type '));
}

/** Blanks comments, and templates where asked, keeping line starts; quotes inside regular expressions cost one line at most. */
export function withoutComments(text: string, { keepTemplates }: { keepTemplates: boolean }): string {
  return text.replace(COMMENT_OR_LITERAL, (match) => {
    const drop = match.startsWith('/') || (match.startsWith('`') && !keepTemplates);
    return drop ? match.replace(/[^\n]/g, ' ') : match;
  });
}

function resolve(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const parts = from.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}
