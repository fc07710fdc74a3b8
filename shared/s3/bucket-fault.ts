import type { ErrorCode } from '../errors/catalogue.ts';
import { FarmError } from '../errors/farm-error.ts';
import { type BucketSettings, bucketName } from './bucket-settings.ts';

/** What goes wrong between a host and a bucket: whether it passes by itself, and what to do about it if not. */

const DENIED = 'the credentials of this host may not do that: see the list of rights in docs/ops/storage.md';
const EXPIRED = 'the credentials of this host have expired: renew them, or let the host have a role that renews them';
const OTHER_REGION = 'the bucket is in another region: correct storage.s3.region';
const UNKNOWN_KEY = 'the server does not know the access key of this host: correct AWS_ACCESS_KEY_ID';
const NO_KEY = 'this host has no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give it a role';
const WRONG_SECRET = 'the secret key of this host is wrong: correct AWS_SECRET_ACCESS_KEY';
const WRONG_CLOCK = 'the clock of this host differs from the server’s by more than the server allows: set it, by NTP';
const UNABLE = 'the server cannot do this; docs/ops/storage.md names the servers that the farm was tested with';
const FULL = 'the server has no room left, or the bucket’s quota is used up';

/** By the name of the server's error. */
const KNOWN: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  NoSuchBucket: ['storage_misconfigured', 'there is no such bucket: make it, or correct storage.s3.bucket'],
  InvalidBucketName: ['storage_misconfigured', 'no bucket can have that name: correct storage.s3.bucket'],
  PermanentRedirect: ['storage_misconfigured', OTHER_REGION],
  AuthorizationHeaderMalformed: ['storage_misconfigured', OTHER_REGION],
  IllegalLocationConstraintException: ['storage_misconfigured', OTHER_REGION],
  AccessDenied: ['storage_denied', DENIED],
  AllAccessDisabled: ['storage_denied', DENIED],
  AccountProblem: ['storage_denied', DENIED],
  InvalidAccessKeyId: ['storage_denied', UNKNOWN_KEY],
  XAdminUserNotFound: ['storage_denied', UNKNOWN_KEY],
  SignatureDoesNotMatch: ['storage_denied', WRONG_SECRET],
  ExpiredToken: ['storage_denied', EXPIRED],
  ExpiredTokenException: ['storage_denied', EXPIRED],
  TokenRefreshRequired: ['storage_denied', EXPIRED],
  InvalidToken: ['storage_denied', EXPIRED],
  CredentialsProviderError: ['storage_denied', NO_KEY],
  RequestTimeTooSkewed: ['clock_wrong', WRONG_CLOCK],
  RequestExpired: ['clock_wrong', WRONG_CLOCK],
  MethodNotAllowed: ['storage_misconfigured', UNABLE],
  NotImplemented: ['storage_misconfigured', UNABLE],
  QuotaExceeded: ['storage_full', FULL],
  XMinioStorageFull: ['storage_full', FULL],
  XMinioAdminBucketQuotaExceeded: ['storage_full', FULL],
};

/** Where the server's error has no name, as in the answer to HEAD. */
const BY_STATUS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  301: ['storage_misconfigured', OTHER_REGION],
  401: ['storage_denied', DENIED],
  403: ['storage_denied', DENIED],
  507: ['storage_full', FULL],
};

/** Where nobody answers. */
const NOBODY: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name of the host could not be looked up',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that host',
};

/** Another request for the same object is under way. */
const BUSY: ReadonlySet<string> = new Set(['OperationAborted', 'ConditionalRequestConflict', 'ConcurrentModification']);

/** The parts of an error of the S3 client that count here. */
interface ClientError extends Error {
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** True for an object that is not there: of a bucket that is missing the fault says so. */
export function isMissing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'NoSuchKey' || error.name === 'NotFound' || error.name === 'NoSuchUpload';
}

/** True when the same request may succeed a moment later: nobody answered, or the server says that it cannot now. */
export function passesByItself(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof FarmError || error instanceof TypeError) return false;
  const { name, $metadata } = error as ClientError;
  if (name === 'AbortError' || name in KNOWN || isMissing(error)) return false;
  const status = $metadata?.httpStatusCode;
  return (
    BUSY.has(name) ||
    status === undefined ||
    status === 200 ||
    status === 408 ||
    status === 429 ||
    (status >= 500 && status !== 501 && status !== 507)
  );
}

/**
 * The error for what the S3 client has thrown. Codes: `storage_misconfigured` (no such bucket, another region, a server
 * that cannot do what is asked of it), `storage_denied` (credentials missing, unknown, wrong, expired, without the
 * right), `clock_wrong`, `storage_full`, and `storage_failed` for a server that is away, fails, or says anything else.
 * @param what was not done, as the begin of a sentence: "Could not read renders/r1/video.mp4".
 */
export function bucketFault(
  error: unknown,
  what: string,
  settings: Pick<BucketSettings, 'bucket' | 'endpoint'>,
): FarmError {
  if (error instanceof FarmError) return error;
  const { name, message, code, $metadata } = (error instanceof Error ? error : new Error(String(error))) as ClientError;
  const status = $metadata?.httpStatusCode ?? 0;
  const [found, advice] = KNOWN[name] ?? BY_STATUS[status] ?? (['storage_failed', undefined] as const);
  const said = [name === 'Error' ? code : name, status || undefined, message].filter(
    (part) => part && part !== 'Unknown',
  );
  const nobody = NOBODY[String(code)];
  const unknown = nobody ? `${nobody} (${code})` : said.map(String).join(': ');
  const reason = advice ? `${advice} (${name}${status ? `, ${status}` : ''})` : unknown;
  return new FarmError(found, `${what}: ${bucketName(settings)}: ${reason || 'no answer'}`, { cause: error });
}
