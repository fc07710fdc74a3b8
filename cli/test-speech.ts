const SAMPLE_RATE_HZ = 16_000;
const HEADER_BYTES = 44;
const FULL_SCALE = 32_767;
/** Of a voice, and of the syllables in it. */
const VOICE_HZ = 120;
const SYLLABLES_HZ = 4;
const HARMONICS = 8;
const LOUDNESS = 0.15;

/** A WAV of something like speech, 16 kHz mono: harmonics of a voice that come and go as syllables do. */
export function testSpeech(seconds: number): Uint8Array<ArrayBuffer> {
  const count = Math.round(seconds * SAMPLE_RATE_HZ);
  const bytes = new Uint8Array(HEADER_BYTES + 2 * count);
  const view = new DataView(bytes.buffer);
  const text = (at: number, word: string) => bytes.set(new TextEncoder().encode(word), at);
  text(0, 'RIFF');
  view.setUint32(4, bytes.length - 8, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, SAMPLE_RATE_HZ, true);
  view.setUint32(28, 2 * SAMPLE_RATE_HZ, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, 2 * count, true);
  for (let index = 0; index < count; index++) {
    const time = index / SAMPLE_RATE_HZ;
    const syllable = Math.max(0, Math.sin(2 * Math.PI * SYLLABLES_HZ * time));
    let sample = 0;
    for (let harmonic = 1; harmonic <= HARMONICS; harmonic++) {
      sample += Math.sin(2 * Math.PI * VOICE_HZ * harmonic * time) / harmonic;
    }
    view.setInt16(HEADER_BYTES + 2 * index, Math.round(FULL_SCALE * LOUDNESS * syllable * sample), true);
  }
  return bytes;
}
