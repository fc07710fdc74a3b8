/** The mouth's area of a picture; area-layout.ts defines what this function does. */

/**
 * Puts an area that is kept without `gaps` pieces of `gapBytes` to `to` as a whole, of which the gaps are left as they
 * are. `before` bytes come before the first gap, `between` from one to the next, and all are `length`.
 */
export function spread(
  from: usize, length: usize, to: usize, before: usize, between: usize, gapBytes: usize, gaps: i32,
): void {
  const end = from + length;
  let next = before;
  for (let gap = 0; gap < gaps; gap++) {
    memory.copy(to, from, next);
    from += next;
    to += next + gapBytes;
    next = between;
  }
  memory.copy(to, from, end - from);
}
