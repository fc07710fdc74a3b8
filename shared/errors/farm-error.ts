import { withoutSecrets } from '../secrets.ts';
import { ERROR_CATALOGUE, type ErrorCode } from './catalogue.ts';

/** Failures that a worker, its files or its machine may have caused: the same job may succeed on another GPU. */
const MAY_LIE_WITH_THE_WORKER: ReadonlySet<ErrorCode> = new Set([
  'model_unusable',
  'model_files_differ',
  'model_file_missing',
  'model_hash_differs',
  'model_unreachable',
  'dependency_missing',
  'resources_exhausted',
  'tool_failed',
  'inference_failed',
  'worker_stuck',
  'no_worker',
  'encode_failed',
  'internal',
]);

/**
 * Failures of the farm's machines, whatever was asked of them: nothing is wrong with the request, and the same job
 * succeeds once the machine is mended. docs/decisions/0051.
 */
const FAULTS_OF_THE_FARM: ReadonlySet<ErrorCode> = new Set([
  'redis_unavailable',
  'model_unreachable',
  'outcome_unknown',
  'storage_failed',
  'storage_denied',
  'storage_misconfigured',
  'clock_wrong',
  'storage_full',
  'resources_exhausted',
  'tool_failed',
  'dependency_missing',
]);

/** What the operating system's own codes say of it. */
const CODE_OF_SYSTEM_ERROR: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'storage_full',
  EDQUOT: 'storage_full',
  EROFS: 'storage_failed',
  EIO: 'storage_failed',
  ESTALE: 'storage_failed',
  ENOMEM: 'resources_exhausted',
  EAGAIN: 'resources_exhausted',
  EMFILE: 'resources_exhausted',
  ENFILE: 'resources_exhausted',
};

/** The code for an error of the operating system, or of V8, that is a fault of the farm; undefined for any other. */
function codeOfSystemError(thrown: unknown): ErrorCode | undefined {
  if (thrown instanceof RangeError && thrown.message === 'Array buffer allocation failed') return 'resources_exhausted';
  return thrown instanceof Error && 'code' in thrown ? CODE_OF_SYSTEM_ERROR[String(thrown.code)] : undefined;
}

/** The form in which an error leaves the process: HTTP bodies, render records, job failures. */
export interface ErrorReport {
  code: ErrorCode;
  message: string;
  remedy: string;
}

export interface FarmErrorOptions extends ErrorOptions {
  /** How long the caller should wait before he asks again. */
  readonly retryAfterSeconds?: number;
}

export class FarmError extends Error {
  readonly code: ErrorCode;
  /** Whole seconds after which the same request may be answered; undefined when nobody knows. */
  readonly retryAfterSeconds: number | undefined;

  /** `message`: what happened and why, with the values that were got and expected. */
  constructor(code: ErrorCode, message: string, options?: FarmErrorOptions) {
    super(withoutSecrets(message), options);
    this.name = 'FarmError';
    this.code = code;
    this.retryAfterSeconds = options?.retryAfterSeconds;
  }

  get retryable(): boolean {
    return ERROR_CATALOGUE[this.code].retryable;
  }

  /** True when the same job may succeed on another GPU. */
  get mayLieWithWorker(): boolean {
    return MAY_LIE_WITH_THE_WORKER.has(this.code);
  }

  /** True when a machine of the farm is at fault: its work waits and is tried again, however often. */
  get isOfTheFarm(): boolean {
    return FAULTS_OF_THE_FARM.has(this.code);
  }

  get grpcStatus(): number {
    return ERROR_CATALOGUE[this.code].grpcStatus;
  }

  get httpStatus(): number {
    return ERROR_CATALOGUE[this.code].httpStatus;
  }

  toReport(): ErrorReport {
    return { code: this.code, message: this.message, remedy: ERROR_CATALOGUE[this.code].remedy };
  }

  /** Rebuilds an error that crossed a process or thread border as a report. */
  static fromReport(report: ErrorReport): FarmError {
    return new FarmError(report.code, report.message);
  }

  /**
   * Anything thrown, as a FarmError. An error of another class becomes the cause, and gets the code `fallback`, unless
   * the operating system says that the machine is short of something.
   */
  static from(thrown: unknown, fallback: ErrorCode = 'internal'): FarmError {
    if (thrown instanceof FarmError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new FarmError(codeOfSystemError(thrown) ?? fallback, message, { cause: thrown });
  }
}
