/** The power spectrum of 512 real samples: a complex FFT of radix 2. Tables are made once; a call allocates nothing. */

const SIZE = 512;
const BITS = Math.log2(SIZE);
const COS = Float64Array.from({ length: SIZE / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / SIZE));
const SIN = Float64Array.from({ length: SIZE / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / SIZE));
const REVERSED = Uint16Array.from({ length: SIZE }, (_, index) => {
  let reversed = 0;
  for (let bit = 0; bit < BITS; bit++) reversed |= ((index >> bit) & 1) << (BITS - 1 - bit);
  return reversed;
});

// Safe to share: a transform runs to its end before anything else can.
const re = new Float64Array(SIZE);
const im = new Float64Array(SIZE);

/**
 * |X[k]|² of the unnormalised DFT.
 * @param signal 512 samples; not changed.
 * @param power receives bins 0 … 255.
 */
export function powerSpectrum(signal: Float64Array, power: Float64Array): void {
  for (let index = 0; index < SIZE; index++) re[REVERSED[index] as number] = signal[index] as number;
  im.fill(0);
  for (let half = 1; half < SIZE; half *= 2) {
    const step = SIZE / (2 * half);
    for (let start = 0; start < SIZE; start += 2 * half) butterflies(start, half, step);
  }
  for (let bin = 0; bin < SIZE / 2; bin++) power[bin] = (re[bin] as number) ** 2 + (im[bin] as number) ** 2;
}

function butterflies(start: number, half: number, step: number): void {
  for (let k = 0; k < half; k++) {
    const low = start + k;
    const high = low + half;
    const cos = COS[k * step] as number;
    const sin = SIN[k * step] as number;
    const turnedRe = (re[high] as number) * cos - (im[high] as number) * sin;
    const turnedIm = (re[high] as number) * sin + (im[high] as number) * cos;
    re[high] = (re[low] as number) - turnedRe;
    im[high] = (im[low] as number) - turnedIm;
    re[low] = (re[low] as number) + turnedRe;
    im[low] = (im[low] as number) + turnedIm;
  }
}
