import { z } from 'zod';
import { insteadOf } from '../errors/faulty-input.ts';
import '../errors/plain-words.ts';
import { configSchema } from './schema.ts';

/** No value in them is quoted: it may be a key, or an address with a password. */
const SECTIONS_WITH_SECRETS = new Set<PropertyKey | undefined>(['auth', 'redis']);

/** One line per wrong or unknown key: its path, the value found, and what is expected. */
export function explainIssues(error: z.ZodError, values: unknown): string[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey([...issue.path, key]));
    }
    const secret = SECTIONS_WITH_SECRETS.has(issue.path[0]);
    const found = issue.path.reduce<unknown>(
      (at, step) => (at as Record<PropertyKey, unknown> | undefined)?.[step],
      values,
    );
    return [
      `${issue.path.join('.')}: ${found === undefined ? 'missing' : secret ? 'not valid' : `got ${JSON.stringify(found)}`}; ${issue.message}`,
    ];
  });
}

function unknownKey(path: PropertyKey[]): string {
  const key = String(path.at(-1));
  return `${path.join('.')}: unknown key; ${insteadOf(key, keysAt(path.slice(0, -1)))}`;
}

/** The valid keys of the section at `path`, read from the schema itself. */
function keysAt(path: PropertyKey[]): string[] {
  let schema: unknown = z.toJSONSchema(configSchema, { io: 'output', unrepresentable: 'any' });
  for (const step of path) {
    const node = schema as { properties?: Record<string, unknown>; additionalProperties?: unknown; items?: unknown };
    schema = node.properties?.[String(step)] ?? node.additionalProperties ?? node.items;
  }
  return Object.keys((schema as { properties?: object } | undefined)?.properties ?? {});
}
