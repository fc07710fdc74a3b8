import { HOUR_MS } from '../../shared/units.ts';

/** Whatever a server asks: a message that it may take days later is of no use to anybody. */
const MOST_WAIT_MS = 6 * HOUR_MS;
/** These say when to come again (RFC 9110, 10.2.3; RFC 6585, 4). */
const ASKING: ReadonlySet<number> = new Set([429, 503]);
/** As in "Fri, 27 Nov 2026 21:30:00 GMT"; Date.parse takes far more for a date. */
const HTTP_DATE = /^[A-Z][a-z]{2}, .* GMT$/;

/**
 * For how long a server asks not to be asked again, in ms from `nowMs`, 6 h at most; undefined when it does not ask, or in
 * a form that is none.
 */
export function retryAfterMs(
  { status, headers }: { readonly status: number; readonly headers: { readonly 'retry-after'?: string | undefined } },
  nowMs: number,
): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  if (!ASKING.has(status)) return undefined;
  const waitMs = /^\d{1,15}$/.test(text)
    ? Number(text) * 1000
    : HTTP_DATE.test(text)
      ? Date.parse(text) - nowMs
      : Number.NaN;
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), MOST_WAIT_MS) : undefined;
}
