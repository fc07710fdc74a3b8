/** Visual inputs of a request in every form that they can travel in, of pictures full of detail. */

export interface VisualForms {
  /** [count, 6, S, S] float32, as clients send them. */
  readonly floats: Buffer;
  /** [count, 6, S, S] bytes. */
  readonly planes: Buffer;
  /** [count, S, S, 3] bytes, RGB. */
  readonly crops: Buffer;
}

/** Faces with the mouth hidden in channels 3–5. @param seed another one, other pictures. */
export function visualFrames(count: number, size = 160, seed = 1): VisualForms {
  const crops = noise(count * size * size * 3, seed);
  const planes = Buffer.concat(
    Array.from({ length: count }, (_, frame) => planesOf(crops.subarray(frame * size * size * 3), size)),
  );
  return { floats: floatsOf(planes), planes, crops };
}

/** Bytes as float32 k/255. */
export function floatsOf(bytes: Uint8Array): Buffer {
  return Buffer.from(Float32Array.from(bytes, (value) => value / 255).buffer);
}

function planesOf(crop: Uint8Array, size: number): Buffer {
  const plane = size * size;
  const planes = Buffer.alloc(6 * plane);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const at = y * size + x;
      const isHidden = x >= 5 && x <= size - 6 && y >= 5 && y <= size - 11;
      for (let channel = 0; channel < 3; channel++) {
        const value = crop[3 * at + 2 - channel] as number;
        planes[channel * plane + at] = value;
        planes[(channel + 3) * plane + at] = isHidden ? 0 : value;
      }
    }
  }
  return planes;
}

function noise(length: number, seed: number): Buffer {
  let state = seed;
  return Buffer.from(
    Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}
