/**
 * How the visual inputs of a live request are written down on their way to a worker. Clients send float32 that were
 * almost always made from bytes; the bytes say the same with a quarter or an eighth of the weight.
 */

/** Channels of a visual input: B, G, R of the face, and B, G, R of the face with the mouth hidden. */
export const VISUAL_CHANNELS = 6;
const CROP_CHANNELS = 3;
const FLOAT_BYTES = 4;

/** What a byte stands for. The two differ in the last bit for half of the bytes. */
const DIVIDED = Float32Array.from({ length: 256 }, (_, value) => value / 255);
const MULTIPLIED = Float32Array.from({ length: 256 }, (_, value) => value * Math.fround(1 / 255));

interface FormOfBytes {
  /**
   * `planes`: [frames, 6, S, S]. `crops`: [frames, S, S, 3], RGB; channels 3–5 are the same with the mouth's area 0.
   */
  readonly layout: 'planes' | 'crops';
  /** The float32 that each byte stands for. */
  readonly floats: Float32Array;
}

/** By name; `floats` are the request's own [frames, 6, S, S] float32, little-endian. Names are part of the protocol. */
export const VISUAL_FORMS = {
  floats: undefined,
  crops: { layout: 'crops', floats: DIVIDED },
  planes: { layout: 'planes', floats: DIVIDED },
  'planes-multiplied': { layout: 'planes', floats: MULTIPLIED },
} as const satisfies Record<string, FormOfBytes | undefined>;

export type VisualForm = keyof typeof VISUAL_FORMS;

/** For what is read from Redis or from heartbeats. */
export function isVisualForm(name: string): name is VisualForm {
  return Object.hasOwn(VISUAL_FORMS, name);
}

/** Bytes that a frame of S × S takes. */
export function visualFrameBytes(form: VisualForm, size: number): number {
  const pixels = size * size;
  const bytes = VISUAL_FORMS[form];
  if (!bytes) return VISUAL_CHANNELS * pixels * FLOAT_BYTES;
  return (bytes.layout === 'planes' ? VISUAL_CHANNELS : CROP_CHANNELS) * pixels;
}

/**
 * Writes the float32 that bytes stand for, in the same order.
 * @param table the `floats` of a form.
 * @param floats as many as there are bytes.
 */
export function writeFloats(bytes: Uint8Array, table: Float32Array, floats: Float32Array): void {
  for (let place = 0; place < bytes.length; place++) floats[place] = table[bytes[place] as number] as number;
}

/** What is wrong when a request's visual inputs are for another S than its model's. @param gotBytes of float32. */
export function wrongVisualSize(gotBytes: number, frames: number, size: number): string {
  const expected = `${frames * visualFrameBytes('floats', size)} (${frames} frames × ${VISUAL_CHANNELS} × ${size} × ${size} float32)`;
  return `visual_frames has ${gotBytes} bytes, expected ${expected}`;
}
