/**
 * Gives an array's memory back to the allocator at once, unless it is a part of a buffer, or shared by threads. Nobody may
 * read it any more. The garbage collector would let a hundred of them pile up, and stop the thread to clear them away.
 */
export function freeNow({ buffer, byteLength }: ArrayBufferView): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}
