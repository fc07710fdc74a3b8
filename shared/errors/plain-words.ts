import { z } from 'zod';

/**
 * What zod says of a wrong value, in the words of the person who wrote it: "expected 1 or more", where zod has "Too small:
 * expected number to be >=1". In force for every schema that brings no words of its own, once this file is imported.
 */
z.config({ localeError: expectedOf });

const zodWords = z.locales.en().localeError;

const TYPES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'names with values',
  record: 'names with values',
  string: 'text',
};

const UNITS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  array: ['entry', 'entries'],
  string: ['character', 'characters'],
};

type Issue = z.core.$ZodRawIssue;

type Words = ReturnType<z.core.$ZodErrorMap>;

function expectedOf(issue: Issue): Words {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${TYPES[issue.expected] ?? issue.expected}${Array.isArray(issue.input) ? ', not a list' : ''}`;
    case 'invalid_value':
      return `expected ${listed(issue.values.map(String))}`;
    case 'too_small':
      if (!issue.inclusive) return `expected more than ${countOf(issue.minimum, issue)}`;
      return `expected ${countOf(issue.minimum, issue)} or more`;
    case 'too_big':
      return `expected ${issue.inclusive ? 'at most' : 'less than'} ${countOf(issue.maximum, issue)}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return zodWords(issue);
  }
}

/** The bound, with what is counted. */
function countOf(bound: number | bigint, { origin }: { readonly origin: string }): string {
  const unit = UNITS[origin]?.[bound === 1 ? 0 : 1];
  return unit === undefined ? `${bound}` : `${bound} ${unit}`;
}

function listed(values: readonly string[]): string {
  return values.length < 2 ? values.join() : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
