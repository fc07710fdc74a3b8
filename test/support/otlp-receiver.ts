import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { fieldsOf, type MessageField, textOf } from '../../shared/onnx/message-reader.ts';

/** A span as the collector got it: the fields of opentelemetry/proto/trace/v1/trace.proto that tests look at. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  readonly parentId: string;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  /** Of the span, texts only. */
  readonly attributes: Readonly<Record<string, string>>;
  /** `farm.process` of its resource. */
  readonly process: string | undefined;
}

/** A collector of traces: OTLP as protobuf over HTTP, as small as it can be. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly #server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const sent = Buffer.concat(pieces);
      const isRight = request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf';
      if (isRight) this.#take(request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent);
      response.writeHead(isRight ? 200 : 400, { 'content-type': 'application/x-protobuf' }).end();
    });
  });

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await once(receiver.#server.listen(0, '127.0.0.1'), 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #take(bytes: Buffer): void {
    const read = (field: MessageField) => new Message(bytes, field);
    for (const resourceSpans of new Message(bytes, { value: { start: 0, end: bytes.length } }).all(1).map(read)) {
      const process = resourceSpans
        .all(1)
        .map(read)
        .map((resource) => attributesOf(resource, 1))[0]?.['farm.process'];
      for (const scope of resourceSpans.all(2).map(read)) {
        for (const span of scope.all(2).map(read)) this.spans.push({ ...toSpan(span), process });
      }
    }
  }
}

class Message {
  readonly #bytes: Buffer;
  readonly #fields: MessageField[];

  constructor(bytes: Buffer, { value }: Pick<MessageField, 'value'>) {
    this.#bytes = bytes;
    this.#fields = [...fieldsOf(bytes, value)];
  }

  all(number: number): MessageField[] {
    return this.#fields.filter((field) => field.number === number);
  }

  messages(number: number): Message[] {
    return this.all(number).map((field) => new Message(this.#bytes, field));
  }

  text(number: number): string {
    return this.all(number).map((field) => textOf(this.#bytes, field))[0] ?? '';
  }

  hex(number: number): string {
    const { value } = this.all(number)[0] ?? {};
    return value ? this.#bytes.toString('hex', value.start, value.end) : '';
  }

  integer(number: number): number {
    return this.all(number)[0]?.integer ?? 0;
  }

  /** Nanoseconds as fixed64, in ms. */
  time(number: number): number {
    const { end } = this.all(number)[0] ?? {};
    return end === undefined ? 0 : Number(this.#bytes.readBigUInt64LE(end - 8)) / 1e6;
  }
}

function toSpan(span: Message): Omit<ReceivedSpan, 'process'> {
  return {
    ...{ traceId: span.hex(1), spanId: span.hex(2), parentId: span.hex(4), name: span.text(5), kind: span.integer(6) },
    traceState: span.text(3),
    ...{ startMs: span.time(7), endMs: span.time(8), attributes: attributesOf(span, 9) },
  };
}

function attributesOf(message: Message, number: number): Record<string, string> {
  return Object.fromEntries(message.messages(number).map((pair) => [pair.text(1), pair.messages(2)[0]?.text(1) ?? '']));
}
