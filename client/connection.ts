import { z } from 'zod';
import { FarmError } from '../shared/errors/farm-error.ts';
import { errorReportSchema } from '../shared/renders/record.ts';
import { parseJson } from './json.ts';

/** How long a plain answer may take; a load of a model or an upload may take longer. */
const ANSWER_WITHIN_MS = 60_000;

/** What the error codes of sockets, of the name service and of Node's HTTP client mean to a user. */
const NO_CONNECTION: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name of the host could not be looked up',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that host',
  ECONNRESET: 'the connection broke off',
  EPIPE: 'the connection broke off',
  UND_ERR_SOCKET: 'the connection broke off',
  ETIMEDOUT: 'there was no answer in time',
  UND_ERR_CONNECT_TIMEOUT: 'there was no answer in time',
  UND_ERR_HEADERS_TIMEOUT: 'there was no answer in time',
  UND_ERR_BODY_TIMEOUT: 'there was no answer in time',
  TimeoutError: 'there was no answer in time',
};

/** What a proxy answers when the farm behind it does not. */
const PROXY_STATUSES: ReadonlySet<number> = new Set([502, 503, 504]);

const codedSchema = z.object({ code: z.string() });
const reportSchema = z.object({ error: errorReportSchema });

/**
 * HTTP requests to one farm. Failures are FarmErrors: the farm's own error when it refused the request;
 * `farm_unreachable` when there was no connection or it broke off; `answer_unexpected` when what answered is no farm.
 * A request that its own signal ended rejects with the signal's reason.
 */
export class Connection {
  readonly url: string;
  readonly #apiKey: string | undefined;

  /** @param url such as "http://127.0.0.1:8080". FarmError('url_invalid') for what is no address of a farm. */
  constructor(url: string, apiKey?: string) {
    this.url = checkUrl(url);
    this.#apiKey = apiKey;
  }

  /** The response, if its status is one of success; any other is thrown as its error. */
  async request(route: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#apiKey) headers.set('authorization', `Bearer ${this.#apiKey}`);
    const response = await this.guard(fetch(`${this.url}${route}`, { ...init, headers }), init.signal);
    if (response.ok) return response;
    const text = await this.guard(response.text(), init.signal);
    const report = reportSchema.safeParse(parseJson(text));
    if (report.success) throw FarmError.fromReport(report.data.error);
    if (PROXY_STATUSES.has(response.status)) throw this.#unreachable(`a proxy answered ${response.status}`);
    throw this.#unexpected(response, text);
  }

  /** The JSON of an answer, which must come within a minute unless `init` has a signal of its own. */
  async read<T>(schema: z.ZodType<T>, route: string, init: RequestInit = {}): Promise<T> {
    const signal = init.signal ?? AbortSignal.timeout(ANSWER_WITHIN_MS);
    const response = await this.request(route, { ...init, signal });
    const text = await this.guard(response.text(), signal);
    const parsed = schema.safeParse(parseJson(text));
    if (!parsed.success) throw this.#unexpected(response, text);
    return parsed.data;
  }

  /** Waits for something that comes over the network. */
  async guard<T>(coming: Promise<T>, signal?: AbortSignal | null): Promise<T> {
    try {
      return await coming;
    } catch (error) {
      if (signal?.aborted && !isTimeout(signal.reason)) throw signal.reason;
      throw this.#toFault(error as Error);
    }
  }

  /** The body of an answer, piece by piece as it comes. */
  async *chunks(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    if (!response.body) throw new FarmError('answer_unexpected', `${this.url} answered without a body`);
    const reader = response.body.getReader();
    let isOpen = true;
    try {
      for (;;) {
        const { done, value } = await this.guard(reader.read(), signal);
        if (done) break;
        yield value;
      }
      isOpen = false;
    } catch (error) {
      isOpen = false;
      throw error;
    } finally {
      // Whoever leaves in the middle wants no more of it.
      if (isOpen) await reader.cancel();
    }
  }

  #toFault(error: Error): FarmError {
    if (error.name === 'NotReadableError') {
      return new FarmError('input_unreadable', 'The file to send changed while it was sent', { cause: error });
    }
    const code = codeOf(error);
    if (/^(HPE_|HTTPParserError|ERR_SSL|EPROTO)/.test(code)) {
      const message = `What answers at ${this.url} does not speak HTTP as a farm does (${code})`;
      return new FarmError('answer_unexpected', message, { cause: error });
    }
    if (error.cause instanceof Error && error.cause.message === 'bad port') {
      const message = `Browsers and this command open no connection to the port of ${this.url}, which is another protocol's`;
      return new FarmError('url_invalid', message, { cause: error });
    }
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    return this.#unreachable(NO_CONNECTION[code] ? `${NO_CONNECTION[code]} (${code})` : cause, error);
  }

  #unreachable(why: string, cause?: Error): FarmError {
    return new FarmError('farm_unreachable', `No farm answers at ${this.url}: ${why}`, { cause });
  }

  #unexpected({ status, headers }: Response, text: string): FarmError {
    const type = headers.get('content-type') ?? 'no content type';
    const said = z.object({ error: codedSchema }).safeParse(parseJson(text));
    const what = said.success ? `with the error ${said.data.error.code}` : `with ${type}`;
    return new FarmError(
      'answer_unexpected',
      `${this.url} answered ${status} ${what}, which no farm of this version does`,
    );
  }
}

function checkUrl(text: string): string {
  const example = 'expected one such as http://127.0.0.1:8080';
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new FarmError('url_invalid', `"${text}" is not an HTTP address; ${example}`);
  }
  if (url.username || url.password) {
    throw new FarmError('url_invalid', `The address ${url.host} carries a password; a farm's key goes into --api-key`);
  }
  if (url.search || url.hash) throw new FarmError('url_invalid', `"${text}" goes on after the address; ${example}`);
  return url.href.replace(/\/+$/, '');
}

function codeOf(error: Error): string {
  const coded = codedSchema.safeParse(error.cause);
  if (coded.success) return coded.data.code;
  return error.cause instanceof Error ? error.cause.name : error.name;
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}
