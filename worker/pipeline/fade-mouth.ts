/** Two mouths of one picture, mixed. */

/**
 * Mixes the mouth of silence into a mouth, byte by byte, rounded half up.
 * @param mouth overwritten.
 * @param silent as long as `mouth`.
 * @param voice how much of `mouth` is left, of `whole`: 0 … whole.
 */
export function fadeMouth(mouth: Uint8Array, silent: Uint8Array, voice: number, whole: number): void {
  if (voice === 0) {
    mouth.set(silent);
    return;
  }
  const half = whole >> 1;
  for (let at = 0; at < mouth.length; at++) {
    const sum = voice * (mouth[at] as number) + (whole - voice) * (silent[at] as number);
    mouth[at] = ((sum + half) / whole) | 0;
  }
}
