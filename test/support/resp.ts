/** The protocol of Redis, as far as a proxy needs it: where a command or an answer ends, and the words of a command. */

const CRLF = Buffer.from('\r\n');

/** Cuts a stream of bytes into whole commands or answers, each as it came. */
export class RespStream {
  #bytes = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<Buffer> {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    let begin = 0;
    for (let end = endOf(this.#bytes, begin); end > 0; end = endOf(this.#bytes, begin)) {
      yield this.#bytes.subarray(begin, end);
      begin = end;
    }
    this.#bytes = this.#bytes.subarray(begin);
  }
}

/** The words of a command: its name and its arguments. */
export function wordsOf(command: Buffer): string[] {
  const words: string[] = [];
  for (let at = command.indexOf(CRLF) + 2; at < command.length; ) {
    const lineEnd = command.indexOf(CRLF, at);
    const length = Number(command.toString('latin1', at + 1, lineEnd));
    words.push(command.toString('utf8', lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return words;
}

/** Behind the value that begins at `at`, or -1 when it is not all there. */
function endOf(bytes: Buffer, at: number): number {
  const lineEnd = bytes.indexOf(CRLF, at);
  if (lineEnd < 0) return -1;
  const next = lineEnd + 2;
  const kind = String.fromCharCode(bytes[at] ?? 0);
  if (kind !== '$' && kind !== '*') return next;
  const count = Number(bytes.toString('latin1', at + 1, lineEnd));
  if (count < 0) return next;
  if (kind === '$') return bytes.length >= next + count + 2 ? next + count + 2 : -1;
  let end = next;
  for (let index = 0; index < count && end > 0; index++) end = endOf(bytes, end);
  return end;
}
