import type { RequestContext } from '../request-context.ts';
import type { Lines } from './lines.ts';

/** How a request or call ended. */
export interface Answered {
  readonly context: RequestContext;
  /** HTTP status or gRPC status number. */
  readonly code: number;
  readonly ms: number;
  /** The address that was asked for, as it was sent, where it says more than the route. */
  readonly url?: string | undefined;
  /** Of the body that was sent. */
  readonly bytes?: number | undefined;
}

/** One line for each request and call, or for each Nth of them. */
export class AccessLog {
  readonly #lines: Lines | undefined;
  readonly #every: number;
  #seen = 0;

  /** @param every logging.sample_rate. */
  constructor(lines: Lines | undefined, every: number) {
    this.#lines = lines;
    this.#every = every;
  }

  note({ context, ms, ...rest }: Answered): void {
    if (!this.#lines || this.#seen++ % this.#every !== 0) return;
    const { via, route, address, origin, caller } = context;
    const who = caller?.keyName === undefined ? {} : { key: caller.keyName };
    const fields = { request: origin.request, via, route, ...rest, ms: Math.round(ms * 10) / 10, address, ...who };
    this.#lines.write(fields, 'request answered');
  }
}
