const SIZE = 320;

/** [frames, 6, 320, 320] float32 as clients make `visual_frames`, of pictures full of detail. */
export function givenFaces(frames: number): Buffer {
  const plane = SIZE * SIZE;
  const floats = new Float32Array(frames * 6 * plane);
  for (let frame = 0; frame < frames; frame++) {
    for (let at = 0; at < 3 * plane; at++) {
      const [x, y] = [at % SIZE, Math.floor(at / SIZE) % SIZE];
      const value = ((at * 31 + frame * 17 + ((x * y) >> 3)) & 255) / 255;
      const isHidden = x >= 5 && x <= SIZE - 6 && y >= 5 && y <= SIZE - 11;
      floats[frame * 6 * plane + at] = value;
      floats[frame * 6 * plane + 3 * plane + at] = isHidden ? 0 : value;
    }
  }
  return Buffer.from(floats.buffer);
}
