/** Units, as numbers of the smallest one. */

/** Bytes. What the farm calls KB, MB and GB counts in powers of two. */
export const KB = 2 ** 10;
export const MB = 2 ** 20;
export const GB = 2 ** 30;

/** Milliseconds. */
const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
