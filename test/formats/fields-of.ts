import { z } from 'zod';

/** Every field of a form by its path, with what it may hold; one that may be absent ends in "?". */
export function fieldsOf(schema: z.ZodType): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (part: JsonSchema, at: string) => {
    const variants = part.oneOf ?? part.anyOf;
    if (variants) {
      variants.forEach((variant, index) => {
        walk(variant, `${at}|${String(variant.properties?.name?.const ?? variant.type ?? index)}`);
      });
    } else if (part.properties) {
      for (const [name, inner] of Object.entries(part.properties)) {
        walk(inner, `${at}.${name}${part.required?.includes(name) ? '' : '?'}`);
      }
    } else if (part.items) walk(part.items, `${at}[]`);
    else found[at] = JSON.stringify(part);
  };
  walk(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema, '');
  return found;
}

interface JsonSchema {
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema & { const?: unknown }>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly type?: string;
}
