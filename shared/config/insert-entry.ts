import { isCollection, isMap, isNode, isPair, stringify } from 'yaml';
import { parseConfigDocument } from './document.ts';

/**
 * Text of a YAML file with one more entry in a top-level map. Only the lines of the entry are added: a library that
 * rewrites the document would move comments and spaces.
 * @param section key of the map; it may be missing.
 * @param entry values of the new entry, all scalars.
 * @returns undefined where lines cannot be added: the section is empty or in braces. The caller must check the result.
 */
export function insertEntry(
  text: string,
  section: string,
  key: string,
  entry: Readonly<Record<string, string>>,
): string | undefined {
  const document = parseConfigDocument(text);
  const newline = lineEndOf(text);
  const map = document.get(section, true);
  if (map === undefined) {
    const before = text === '' || text.endsWith('\n') ? text : `${text}${newline}`;
    return `${before}${section}:${newline}${entryLines(indentOf(text), key, entry, newline)}`;
  }
  if (!isMap(map) || map.flow || map.range === undefined || map.range === null) return undefined;
  const [start] = map.range;
  const indent = text.slice(text.lastIndexOf('\n', start - 1) + 1, start);
  if (indent === '' || indent.trim() !== '') return undefined;
  const end = afterLine(text, lastOffset(map));
  const before = text.slice(0, end);
  return `${before}${before.endsWith('\n') ? '' : newline}${entryLines(indent, key, entry, newline)}${text.slice(end)}`;
}

/** The first indentation of a YAML text; two spaces when it has none. */
export function indentOf(text: string): string {
  return /^( +)\S/m.exec(text)?.[1] ?? '  ';
}

/** How the lines of a text end; as on Unix when it has only one. */
export function lineEndOf(text: string): '\n' | '\r\n' {
  return /\r\n/.test(text) ? '\r\n' : '\n';
}

function entryLines(indent: string, key: string, entry: Readonly<Record<string, string>>, newline: string): string {
  const pairs = Object.entries(entry).map(([name, value]) => `${indent}${indent}${scalarLine(name, value)}`);
  return `${indent}${scalarLine(key, null)}${pairs.join('')}`.replaceAll('\n', newline);
}

/** `name: value` and a newline, quoted where YAML asks for it. */
function scalarLine(name: string, value: string | null): string {
  return stringify({ [name]: value }, { lineWidth: 0, nullStr: '' }).replace(/ \n$/, '\n');
}

/** Offset behind the last scalar inside a node, before comments and spaces that follow it. */
function lastOffset(node: unknown): number {
  if (isPair(node)) return lastOffset(isNode(node.value) && node.value.range ? node.value : node.key);
  if (isCollection(node) && !node.flow && node.items.length > 0) return lastOffset(node.items.at(-1));
  return (isNode(node) && node.range?.[1]) || 0;
}

function afterLine(text: string, offset: number): number {
  if (text[offset - 1] === '\n') return offset;
  const newline = text.indexOf('\n', offset);
  return newline < 0 ? text.length : newline + 1;
}
