import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AnyDefinition, loadSync } from '@grpc/proto-loader';

/**
 * `npm run generate:messages`: writes the messages of proto/*.proto as TypeScript, into api/grpc/messages/. A test fails
 * while what is there is not what would be written.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIOME = join(ROOT, 'node_modules', '.bin', 'biome');

/** The services whose messages the front end handles. */
const PROTOS = ['monolithic', 'compositing', 'inference', 'farm'];

/** The part that is needed of what protobuf calls a DescriptorProto and an EnumDescriptorProto. */
interface Descriptor {
  readonly name: string;
  readonly field?: readonly Field[];
  readonly value?: readonly { readonly name: string }[];
  readonly oneofDecl?: readonly { readonly name: string }[];
}

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
  readonly oneofIndex: number;
}

const SCALARS: Readonly<Record<string, string>> = {
  TYPE_STRING: 'string',
  TYPE_BYTES: 'Buffer',
  TYPE_BOOL: 'boolean',
  ...Object.fromEntries(
    ['DOUBLE', 'FLOAT', 'INT32', 'UINT32', 'INT64', 'UINT64'].map((kind) => [`TYPE_${kind}`, 'number']),
  ),
};

/** Path of each generated file and what it must hold. */
export function generatedFiles(): Map<string, string> {
  return new Map(
    PROTOS.map((name) => {
      const file = join(ROOT, 'api', 'grpc', 'messages', `${name}.ts`);
      return [file, formatted(file, messagesOf(name))];
    }),
  );
}

function messagesOf(proto: string): string {
  const file = join(ROOT, 'proto', `${proto}.proto`);
  const definitions = Object.values(loadSync(file, { keepCase: true, defaults: true, oneofs: true }));
  const types = definitions.flatMap((definition) => {
    if (!('type' in definition)) return [];
    const descriptor = definition.type as Descriptor;
    return [descriptor.value ? declareEnum(descriptor) : declareMessage(descriptor, emptyOf(definition))];
  });
  const head = [
    `// Written by scripts/generate-grpc-messages.ts from proto/${proto}.proto, where the meaning of the fields stands.`,
    '// Field names as in the file, enums by name, 64-bit numbers as numbers; a received message has every field set.',
  ];
  return [...head, '', types.join('\n\n'), ''].join('\n');
}

/** The message that no bytes decode to. It has all fields except those in a oneof, which the descriptor does not mark. */
function emptyOf(definition: AnyDefinition): object {
  const decode = 'deserialize' in definition ? definition.deserialize : undefined;
  return typeof decode === 'function' ? decode(Buffer.alloc(0)) : {};
}

function declareEnum({ name, value = [] }: Descriptor): string {
  return `export type ${name} = ${value.map((entry) => `'${entry.name}'`).join(' | ')};`;
}

function declareMessage({ name, field: fields = [], oneofDecl: oneofs = [] }: Descriptor, empty: object): string {
  if (fields.length === 0) return `export type ${name} = Record<string, never>;`;
  const plain = fields.filter((field) => field.name in empty);
  // Maps are of texts. What no bytes decode to tells them from repeated messages, as which the descriptor has them.
  const isMap = ({ name: field, label }: Field) =>
    label === 'LABEL_REPEATED' && !Array.isArray((empty as Record<string, unknown>)[field]);
  const declare = (field: Field) =>
    isMap(field) ? `readonly ${field.name}: Readonly<Record<string, string>>;` : property(field, 'plain');
  const properties = `{ ${plain.map(declare).join(' ')} }`;
  if (oneofs.length === 0) return `export interface ${name} ${properties}`;
  // In a received message the name of the oneof says which of its fields is set, and is not there when none is.
  const choices = oneofs.map(({ name: oneof }, index) => {
    const members = fields.filter((field) => !(field.name in empty) && field.oneofIndex === index);
    return members.map((field) => `{ readonly ${oneof}?: '${field.name}'; ${property(field, 'oneof')} }`).join(' | ');
  });
  const parts = plain.length > 0 ? [properties, ...choices] : choices;
  return `export type ${name} = ${parts.length > 1 ? parts.map((part) => `(${part})`).join(' & ') : parts[0]};`;
}

function property({ name, label, type, typeName }: Field, place: 'plain' | 'oneof'): string {
  const one = SCALARS[type] ?? typeName.split('.').at(-1) ?? '';
  if (label === 'LABEL_REPEATED') return `readonly ${name}: readonly ${one}[];`;
  return `readonly ${name}: ${one}${type === 'TYPE_MESSAGE' && place === 'plain' ? ' | null' : ''};`;
}

function formatted(file: string, text: string): string {
  return execFileSync(BIOME, ['format', `--stdin-file-path=${file}`], { cwd: ROOT, input: text, encoding: 'utf8' });
}

if (import.meta.main) {
  for (const [file, text] of generatedFiles()) {
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text);
  }
}
