/** Bytes of an HTTP/2 frame's header. */
const HEADER_BYTES = 9;

/**
 * Gives back the memory of what was read from a connection as soon as it was used. Node reads every 64 KB into memory of
 * their own. Left to V8, a message of 59 MB makes it collect all of its heap two or three times; given back, a piece is
 * soon read into again, while the processor's cache still has it.
 */
export class SpentReads {
  /** What was read last, and where the part of it that was used ends. */
  #memory: ArrayBufferLike | undefined;
  #end = 0;
  /** Whether there were only headers of frames before that part, and within. */
  #isAllUsed = false;

  /**
   * Notes that bytes of a stream, as HTTP/2 gave them, are not needed any more. Their memory is given back when bytes of
   * other memory come, since Node reads on only when it has done with the one before; and only if it holds nothing else:
   * other calls share the connection.
   */
  used({ buffer, byteOffset, length }: Uint8Array): void {
    if (buffer === this.#memory) this.#isAllUsed &&= byteOffset - this.#end === HEADER_BYTES;
    else {
      this.#giveBack();
      this.#memory = buffer;
      this.#isAllUsed = byteOffset <= HEADER_BYTES;
    }
    this.#end = byteOffset + length;
  }

  #giveBack(): void {
    const memory = this.#memory;
    if (!(memory instanceof ArrayBuffer) || !this.#isAllUsed || memory.byteLength - this.#end > HEADER_BYTES) return;
    memory.transfer(0);
  }
}
