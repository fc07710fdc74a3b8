import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../errors/catalogue.ts';
import type { ErrorReport } from '../errors/farm-error.ts';

/** Errors in records and frame channels, which processes of several versions of the farm read and write. */

/** The codes that every version knows. A reader of the first version cannot read an error with any other. */
const FIRST_CODES: ReadonlySet<string> = new Set(
  (
    'request_invalid upload_missing upload_too_large audio_empty audio_unreadable audio_no_stream audio_too_long ' +
    'model_unknown model_unusable model_too_large model_exists render_unknown render_not_finished render_cancelled ' +
    'render_failed output_not_kept preview_unknown frame_unknown range_unsatisfiable idempotency_conflict queue_full ' +
    'capacity_full deadline_exceeded request_cancelled farm_draining redis_unavailable redis_unsuitable ' +
    'storage_failed config_invalid dependency_missing inference_failed encode_failed worker_lost gpu_unknown ' +
    'gpu_taken farm_running farm_not_stopped port_taken url_invalid farm_unreachable answer_unexpected ' +
    'input_unreadable output_unwritable output_exists unauthorised content_type_unsupported body_too_large ' +
    'headers_too_large request_timed_out method_not_allowed not_found internal'
  ).split(' '),
);

/**
 * An error as any version wrote it. A code that is not known here, since a newer version wrote it, is read as `internal`,
 * with its name before what it says.
 */
export const storedErrorSchema = z
  .object({ code: z.string(), exactCode: z.string().optional(), message: z.string(), remedy: z.string() })
  .transform(({ code, exactCode = code, message, remedy }): ErrorReport => {
    if (isKnown(exactCode)) return { code: exactCode, message, remedy };
    return { code: isKnown(code) ? code : 'internal', message: `${exactCode}: ${message}`, remedy };
  });

/** The form in which it is written: with a code that every version can read, and its own beside it. */
export function toStoredError({ code, ...rest }: ErrorReport): z.input<typeof storedErrorSchema> {
  return FIRST_CODES.has(code) ? { code, ...rest } : { code: 'internal', exactCode: code, ...rest };
}

function isKnown(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CATALOGUE, code);
}
