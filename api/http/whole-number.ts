import { z } from 'zod';

/**
 * A whole number from `min` to `max`, written in digits as paths, queries and forms carry it. Other ways in which
 * JavaScript would read one, such as "0x1", "1e2", "+1" or "", are refused.
 */
export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^-?\d{1,15}$/, { error: 'expected a whole number in digits' })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `expected ${min} to ${max}` })
    .meta({ type: 'integer', minimum: min, maximum: max });
}
