import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { type ErrorCode, FarmError } from '../../shared/errors.ts';
import { asRedisFault } from '../../shared/redis.ts';

/** Seconds to wait that a refusal for lack of room suggests. */
const RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = { queue_full: 10, redis_unavailable: 2 };

/** Everything thrown in a route, as one of the catalogue: every error body has the same form. */
export function answerError(thrown: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  const error = toFarmError(thrown);
  if (error.httpStatus >= 500) request.log.error({ code: error.code, err: thrown }, 'request failed');
  const retryAfterSeconds = RETRY_AFTER_SECONDS[error.code];
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  reply.status(error.httpStatus).send({ error: error.toReport() });
}

export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  const error = new FarmError('not_found', `There is nothing at ${request.method} ${request.url}`);
  reply.status(error.httpStatus).send({ error: error.toReport() });
}

function toFarmError(thrown: FastifyError | Error): FarmError {
  if (thrown instanceof FarmError) return thrown;
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const faults = thrown.validation.map(
      (fault) => `${fault.instancePath.slice(1).replaceAll('/', '.')}: ${fault.message}`,
    );
    return new FarmError('request_invalid', `Wrong ${thrown.validationContext ?? 'request'}: ${faults.join('; ')}`);
  }
  const redisFault = asRedisFault(thrown);
  if (redisFault) return redisFault;
  if ('statusCode' in thrown && thrown.statusCode !== undefined && thrown.statusCode < 500) {
    // Too many files, fields or parts are 413 to Fastify too, but no shorter file would help.
    const tooLarge = 'code' in thrown && /TOO_LARGE$/.test(thrown.code);
    return new FarmError(tooLarge ? 'upload_too_large' : 'request_invalid', thrown.message);
  }
  return FarmError.from(thrown);
}
