import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../../shared/errors/catalogue.ts';
import { errorBodySchema } from '../../shared/views/render-view.ts';
import type { Access } from '../access/access.ts';
import { withExample } from './api-examples.ts';

/** The description of the HTTP API, made of the schemas of its routes, and what those have in common. */

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a form holds that the route reads by itself, for the description. */
    readonly form?: z.ZodType;
    /** The JSON that it takes instead. */
    readonly json?: z.ZodType;
  }
}

const BYTES = z.unknown().meta({ type: 'string', format: 'binary' });

interface Operation {
  readonly operationId?: string;
  readonly description?: string;
  readonly requestBody?: { readonly content?: object };
}

type OpenApiDocument = Extract<ReturnType<typeof jsonSchemaTransformObject>, { openapi?: string }>;

/** A body that is no JSON. */
export function bytesOf(description: string, ...contentTypes: string[]) {
  return { description, content: Object.fromEntries(contentTypes.map((type) => [type, { schema: BYTES }])) };
}

/** An answer without a body. */
export function nothing(description: string) {
  return z.undefined().describe(description);
}

/** How Fastify refuses a body that it does not read. */
export const BODY_REFUSALS = ['body_too_large', 'content_type_unsupported'] as const;

/** What any route may answer that needs a key and asks Redis. */
const ANY_ROUTE = [
  'request_invalid',
  'unauthorised',
  'rate_limited',
  'origin_refused',
  'host_unknown',
  'redis_unavailable',
  'internal',
] as const satisfies ErrorCode[];

/** The failures that a route answers with, by status: its own codes and those of any route. */
export function failures(...codes: ErrorCode[]) {
  const byStatus = Object.groupBy([...codes, ...ANY_ROUTE], (code) => ERROR_CATALOGUE[code].httpStatus);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, known = []]) => {
      const description = [...new Set(known)].join(', ');
      return [status, { description, content: { 'application/json': { schema: errorBodySchema } } }];
    }),
  );
}

/** All named schemas describe answers; the transform lists each as a request body as well, which is wrong. */
function withoutInputForms<D extends { components?: { schemas?: object } }>(document: D): D {
  const schemas = Object.entries(document.components?.schemas ?? {}).filter(([name]) => !name.endsWith('Input'));
  return { ...document, components: { ...document.components, schemas: Object.fromEntries(schemas) } };
}

type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

/** Adds to each operation its example, and the JSON that it takes in place of a form. */
function withDetails(paths: Paths, jsonBodies: ReadonlyMap<string, object>): Paths {
  const detailed = (operation: Operation): Operation => {
    const { operationId = '', requestBody } = operation;
    const schema = jsonBodies.get(operationId);
    if (!schema || !requestBody?.content) return withExample(operation);
    const content = { ...requestBody.content, 'application/json': { schema } };
    return withExample({ ...operation, requestBody: { ...requestBody, content } });
  };
  return Object.fromEntries(
    Object.entries(paths).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods).map(([method, operation]) => [method, detailed(operation)])),
    ]),
  );
}

function jsonSchemaOf(form: z.ZodType): object {
  const { $schema: _, ...schema } = z.toJSONSchema(form, { io: 'input' });
  return schema;
}

/** Serves /openapi.json. Call it before the routes are registered. */
export async function describeApi(app: FastifyInstance, access: Pick<Access, 'isOpen'>): Promise<void> {
  const keys = [{ bearerKey: [] }, { basicKey: [] }];
  /** By operation. */
  const jsonBodies = new Map<string, object>();
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Lipsync Farm', version: '1', description: 'Audio in, talking-head video out.' },
      components: {
        securitySchemes: {
          bearerKey: { type: 'http', scheme: 'bearer', description: 'An API key of the farm.' },
          basicKey: { type: 'http', scheme: 'basic', description: 'Any user, and an API key as password.' },
        },
      },
    },
    transform: (document) => {
      const { form, json } = document.route.config ?? {};
      if (json) jsonBodies.set(document.schema.operationId ?? '', jsonSchemaOf(json));
      return jsonSchemaTransform(form ? { ...document, schema: { ...document.schema, body: form } } : document);
    },
    transformObject: (document) => withoutInputForms(jsonSchemaTransformObject(document) as OpenApiDocument),
  });
  app.get('/openapi.json', { schema: { hide: true }, config: { access: 'render' } }, async () => {
    const document = app.swagger();
    return {
      ...document,
      paths: withDetails(document.paths as Paths, jsonBodies),
      // The first key may come while the farm runs.
      security: access.isOpen ? [{}, ...keys] : keys,
    };
  });
}
