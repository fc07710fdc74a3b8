import { Metadata, type StatusObject } from '@grpc/grpc-js';
import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';

/** Trailing metadata of every failed call. */
const ERROR_CODE_KEY = 'farm-error-code';
const REMEDY_KEY = 'farm-error-remedy';
/** In seconds, where it is known. */
const RETRY_AFTER_KEY = 'retry-after';
/** Clients take a few KB of headers, and a message may show what was got, which may be as long as a message can be. */
const LONGEST_DETAILS = 1000;

/**
 * What MonolithicService tells by gRPC status: the way to the farm and its load. Everything else is an answer with
 * success = false, as the one-process server gave it.
 */
const TOLD_BY_STATUS: ReadonlySet<ErrorCode> = new Set([
  'request_cancelled',
  'deadline_exceeded',
  'queue_full',
  'memory_full',
  'farm_draining',
  'redis_unavailable',
  'outcome_unknown',
  'unauthorised',
  'forbidden',
  'rate_limited',
  'key_limit_reached',
]);

/** Any failure as gRPC status: number and message of the catalogue, code and remedy in the metadata. */
export function toStatus(thrown: unknown): StatusObject {
  const error = FarmError.from(thrown);
  const { code, message, remedy } = error.toReport();
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_KEY, code);
  metadata.set(REMEDY_KEY, remedy);
  if (error.retryAfterSeconds !== undefined) metadata.set(RETRY_AFTER_KEY, String(error.retryAfterSeconds));
  const details = message.length > LONGEST_DETAILS ? `${message.slice(0, LONGEST_DETAILS)}…` : message;
  return { code: error.grpcStatus, details: details.toWellFormed(), metadata };
}

/** The text of a success = false answer. What is told by status is thrown again. */
export function refusalText(thrown: unknown): string {
  const error = FarmError.from(thrown);
  if (TOLD_BY_STATUS.has(error.code)) throw error;
  return `${error.code}: ${error.message}`;
}
