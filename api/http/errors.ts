import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { shown, unknownName } from '../../shared/errors/faulty-input.ts';
import '../../shared/errors/plain-words.ts';

/** Seconds to wait that a refusal suggests which may pass by itself. */
const RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = {
  queue_full: 10,
  key_limit_reached: 10,
  redis_unavailable: 2,
  outcome_unknown: 2,
  resources_exhausted: 10,
  storage_full: 60,
};

/** What Fastify refuses by itself, by its status; any other 4xx of it is a request that is wrong in itself. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timed_out',
  413: 'body_too_large',
  415: 'content_type_unsupported',
  431: 'headers_too_large',
};

/** What Fastify calls the parts of a request, as a caller knows them. */
const PART_NAMES: Readonly<Record<string, string>> = { querystring: 'query', params: 'path' };

/** Everything thrown in a route, as one of the catalogue: every error body has the same form. */
export function answerError(thrown: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  const error = toFarmError(thrown, request);
  if (error.httpStatus >= 500) request.log.error({ code: error.code, err: thrown }, 'request failed');
  sendError(reply, error);
}

/** Sends an error in the form that all of them have. */
export function sendError(reply: FastifyReply, error: FarmError): FastifyReply {
  const retryAfterSeconds = error.retryAfterSeconds ?? RETRY_AFTER_SECONDS[error.code];
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  const body = { error: error.toReport(), request_id: reply.request.id };
  return reply.status(error.httpStatus).type('application/json; charset=utf-8').send(body);
}

function toFarmError(thrown: FastifyError | Error, request: FastifyRequest): FarmError {
  if (thrown instanceof FarmError) return thrown;
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const part = thrown.validationContext ?? 'request';
    const faults = thrown.validation.flatMap((fault) => describeFault(fault, part, request));
    return new FarmError('request_invalid', `Wrong ${PART_NAMES[part] ?? part}: ${faults.join('; ')}`);
  }
  const { statusCode = 500 } = thrown as Partial<FastifyError>;
  if (statusCode < 400 || statusCode >= 500) return FarmError.from(thrown);
  const code = CODE_OF_STATUS[statusCode] ?? 'request_invalid';
  const type = request.headers['content-type'];
  const message = code === 'content_type_unsupported' ? `A body of type "${type}" is not read here` : thrown.message;
  return new FarmError(code, message, { cause: thrown });
}

interface Fault {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string | undefined;
  readonly params: Record<string, unknown>;
}

function describeFault(fault: Fault, part: string, request: FastifyRequest): string[] {
  if (fault.keyword === 'unrecognized_keys') {
    const known = namesIn(request.routeOptions.schema, part);
    return (fault.params.keys as string[]).map((name) =>
      unknownName(part === 'querystring' ? 'parameter' : 'field', name, known),
    );
  }
  const path = fault.instancePath.split('/').filter((step) => step !== '');
  const got = shown(valueAt(partOf(request, part), path));
  return [path.length > 0 ? `${path.join('.')}: ${got}; ${fault.message}` : `${fault.message}`];
}

/** An object of zod, or one that may be left out. */
interface SchemaPart {
  readonly shape?: object;
  readonly unwrap?: () => SchemaPart;
}

function partOf({ query, params, body, headers }: FastifyRequest, part: string): unknown {
  return { querystring: query, params, body, headers }[part];
}

function valueAt(whole: unknown, path: readonly string[]): unknown {
  return path.reduce((at, step) => (at as Record<string, unknown> | undefined)?.[step], whole);
}

/** The names that a part of the request may have, read from its schema. */
function namesIn(schema: object | undefined, part: string): string[] {
  let at = (schema as Record<string, SchemaPart | undefined> | undefined)?.[part];
  while (at?.unwrap) at = at.unwrap();
  return Object.keys(at?.shape ?? {});
}
