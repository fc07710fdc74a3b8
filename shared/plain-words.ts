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

const SIZES: Readonly<Record<string, string>> = { array: ' entries', string: ' characters' };

type Issue = z.core.$ZodRawIssue;

type Words = ReturnType<z.core.$ZodErrorMap>;

function expectedOf(issue: Issue): Words {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${TYPES[issue.expected] ?? issue.expected}${Array.isArray(issue.input) ? ', not a list' : ''}`;
    case 'invalid_value':
      return `expected ${listed(issue.values.map(String))}`;
    case 'too_small':
      return `expected ${issue.inclusive ? '' : 'more than '}${issue.minimum}${sizeOf(issue)}${issue.inclusive ? ' or more' : ''}`;
    case 'too_big':
      return `expected ${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}${sizeOf(issue)}`;
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return zodWords(issue);
  }
}

function sizeOf({ origin }: { readonly origin: string }): string {
  return SIZES[origin] ?? '';
}

function listed(values: readonly string[]): string {
  return values.length < 2 ? values.join() : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
