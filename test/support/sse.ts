import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { z } from 'zod';

export interface SseEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

const dataSchema = z.record(z.string(), z.unknown());

/** A client of server-sent events that reads them one by one, as the test asks for them. */
export class SseClient implements Disposable {
  readonly response: IncomingMessage;
  readonly #events: AsyncIterator<SseEvent>;
  /** Comments that have come: signs of life. */
  comments = 0;
  /** What the server says about coming again, in ms. */
  retryMs: number | undefined;

  private constructor(response: IncomingMessage) {
    this.response = response;
    this.#events = this.#read();
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<SseClient> {
    const outgoing = httpRequest(url, { headers, agent: false }).end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return new SseClient(response);
  }

  /** Undefined at the end of the stream. */
  async next(): Promise<SseEvent | undefined> {
    const { done, value } = await this.#events.next();
    return done ? undefined : value;
  }

  /** All events until the server ends the stream. */
  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    for (let event = await this.next(); event; event = await this.next()) events.push(event);
    return events;
  }

  /** The next events, so many. */
  async take(count: number): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    while (events.length < count) {
      const event = await this.next();
      if (!event) {
        throw new Error(`status ${this.response.statusCode}: ended after ${events.length} of ${count} events`);
      }
      events.push(event);
    }
    return events;
  }

  async *#read(): AsyncGenerator<SseEvent> {
    let text = '';
    for await (const piece of this.response.setEncoding('utf8') as AsyncIterable<string>) {
      text += piece;
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const lines = block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string?]);
        const fields = new Map(lines.map(([name, value = '']) => [name, value]));
        if (fields.has('')) this.comments++;
        if (fields.has('retry')) this.retryMs = Number(fields.get('retry'));
        const data = fields.get('data');
        if (data === undefined) continue;
        yield { id: fields.get('id') ?? '', type: fields.get('event') ?? '', data: dataSchema.parse(JSON.parse(data)) };
      }
    }
  }

  [Symbol.dispose](): void {
    this.response.destroy();
  }
}
