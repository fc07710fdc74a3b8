import { randomBytes } from 'node:crypto';

const TIME_DIGITS = 9;

/** The form of a render's id. */
export const RENDER_ID = /^r[a-z0-9]+-[a-f0-9]+$/;

/** A new render id such as "r1k2j3h4g5-9f8e7d6c5b": ids sort by the time they were made. */
export function newRenderId(nowMs = Date.now()): string {
  return `r${nowMs.toString(36).padStart(TIME_DIGITS, '0')}-${randomBytes(5).toString('hex')}`;
}
