/** A frame as a binary message of a WebSocket: 16 bytes, little-endian, then the picture. */

const HEADER_BYTES = 16;

export interface FrameMessage {
  readonly frameIndex: number;
  /** When to show it, on the clock of the sound. */
  readonly timeMs: number;
  /** Frames right before it that were left out. */
  readonly skippedFrames: number;
  /** From the moment its sound was complete until it left; 0 where that has no meaning. */
  readonly latencyMs: number;
  readonly data: Buffer;
}

/** uint32 frame index, uint32 time in ms, uint32 skipped frames, float32 latency in ms. */
export function encodeFrame({ frameIndex, timeMs, skippedFrames, latencyMs, data }: FrameMessage): Buffer {
  const message = Buffer.allocUnsafe(HEADER_BYTES + data.length);
  message.writeUInt32LE(frameIndex, 0);
  message.writeUInt32LE(timeMs, 4);
  message.writeUInt32LE(skippedFrames, 8);
  message.writeFloatLE(latencyMs, 12);
  data.copy(message, HEADER_BYTES);
  return message;
}
