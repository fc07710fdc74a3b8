import { type Document, type ParsedNode, parseDocument, YAMLParseError } from 'yaml';
import { FarmError } from '../errors/farm-error.ts';

/** Top-level keys with this prefix are free for the user: a place for values that anchors and merge keys share. */
const OWNERS_KEY = /^x-/;

/** What a message has of the file itself, up to where it says the place: `: *word`, `directive %word`. */
const QUOTED = /(?:: | (?=[%\\@`])).*?(?= at line \d+, column \d+:?$|$)/;

/**
 * The document of a configuration file: YAML 1.2 with merge keys (`<<: *base`). Faults are in its `errors`, and tags and
 * directives that mean nothing here in its `warnings`.
 */
export function parseConfigDocument(text: string): Document.Parsed<ParsedNode> {
  return parseDocument(text, { merge: true, logLevel: 'error' });
}

/**
 * The contents of a configuration file, with anchors and merge keys resolved, without the user's own `x-` keys.
 * @param name path of the file, for messages.
 * @throws FarmError `config_invalid`: not YAML, a tag that is unknown, an alias without an anchor, or anything but sections.
 */
export function readConfigValues(text: string, name: string): Record<string, unknown> {
  const document = parseConfigDocument(text);
  const [fault] = [...document.errors, ...document.warnings];
  if (fault) throw notYaml(name, fault);
  const values = plainValues(document, name) ?? {};
  if (typeof values !== 'object' || Array.isArray(values)) {
    throw new FarmError('config_invalid', `${name} holds no sections; expected keys such as "models:"`);
  }
  return Object.fromEntries(Object.entries(values).filter(([key]) => !OWNERS_KEY.test(key)));
}

/** References are resolved here, so an alias without its anchor is found here too. */
function plainValues(document: Document, name: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw notYaml(name, cause as Error);
  }
}

function notYaml(name: string, fault: Error): FarmError {
  if (fault instanceof YAMLParseError && fault.code === 'MULTIPLE_DOCS') {
    return new FarmError('config_invalid', `${name} holds several documents: keep one, without a line "---" inside`);
  }
  // Neither what is quoted nor the cause, which holds the line: a secret may stand there.
  const [said = ''] = fault.message.split('\n', 1);
  return new FarmError('config_invalid', `${name} is not valid YAML: ${said.replace(QUOTED, '').replace(/:$/, '')}`);
}
