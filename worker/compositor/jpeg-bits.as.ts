/** The bits of a JPEG's rows of MCUs; jpeg-bits.ts defines what these functions do. */

/** The bits not yet written, in the low places; how many they are, under 32; where the next byte goes. */
export let pending: u64 = 0;
export let pendingCount: u32 = 0;
export let end: usize = 0;

/** Begins at address `at` with the first `count` bits (0–7) of `byte`. */
export function begin(at: usize, byte: u32, count: u32): void {
  end = at;
  pendingCount = count;
  pending = (byte >> (8 - count)) as u64;
}

/** Takes back what a function kept in local variables for speed. */
export function setState(bits: u64, count: u32, at: usize): void {
  pending = bits;
  pendingCount = count;
  end = at;
}

/** Is one of the four bytes 255? */
@inline
export function has255(word: u32): bool {
  return ((~word - 0x01010101) & word & 0x80808080) != 0;
}

/** Writes 32 bits, and a byte of 0 after each of 255. Returns where the next byte goes. */
@inline
export function write32(at: usize, word: u32): usize {
  if (has255(word)) return writeStuffed(at, word);
  store<u32>(at, bswap<u32>(word));
  return at + 4;
}

function writeStuffed(at: usize, word: u32): usize {
  for (let shift: i32 = 24; shift >= 0; shift -= 8) at = writeByte(at, (word >> shift) & 255);
  return at;
}

@inline
function writeByte(at: usize, byte: u32): usize {
  store<u8>(at++, byte as u8);
  if (byte == 255) store<u8>(at++, 0);
  return at;
}

/** count: 0–31. */
@inline
export function put(bits: u32, count: u32): void {
  pending = (pending << count) | (bits as u64);
  pendingCount += count;
  if (pendingCount >= 32) {
    pendingCount -= 32;
    end = write32(end, (pending >> pendingCount) as u32);
  }
}

/** Writes all whole bytes, so that `position` is that of the next bit. */
export function drain(): void {
  while (pendingCount >= 8) {
    pendingCount -= 8;
    end = writeByte(end, ((pending >> pendingCount) & 255) as u32);
  }
}

/** Number of the next bit after `drain`, counted from the byte at `start`. */
@inline
export function position(start: usize): u32 {
  return (((end - start) << 3) as u32) + pendingCount;
}

/** Fills the last byte with ones. */
export function align(): void {
  const missing = (8 - (pendingCount & 7)) & 7;
  put((1 << missing) - 1, missing);
  drain();
}

/** Appends the bits [from, to) of the stuffed bytes at `source`; `from` and `to` count from there. */
export function copyBits(source: usize, from: u32, to: u32): void {
  let at = source + (from >> 3);
  const last = source + (to >> 3);
  let skipped = from & 7;
  if (at < last) {
    const first = load<u8>(at++) as u32;
    if (first == 255) at++;
    put(first & (255 >> skipped), 8 - skipped);
    copyBytes(at, last);
    at = last;
    skipped = 0;
  }
  const kept = to & 7;
  if (kept > skipped) put((load<u8>(at) >> (8 - kept)) & ((1 << (kept - skipped)) - 1), kept - skipped);
}

/** Appends the bits of the stuffed bytes in [at, last). */
function copyBytes(at: usize, last: usize): void {
  let bits = pending;
  let count = pendingCount;
  let to = end;
  while (at < last) {
    if (at + 4 <= last) {
      const word = bswap<u32>(load<u32>(at));
      if (!has255(word)) {
        at += 4;
        bits = (bits << 32) | (word as u64);
        to = write32(to, (bits >> count) as u32);
        continue;
      }
    }
    const byte = load<u8>(at++);
    if (byte == 255) at++;
    bits = (bits << 8) | (byte as u64);
    count += 8;
    if (count >= 32) {
      count -= 32;
      to = write32(to, (bits >> count) as u32);
    }
  }
  setState(bits, count, to);
}
