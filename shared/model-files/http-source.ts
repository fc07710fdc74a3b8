import { FarmError } from '../errors/farm-error.ts';
import { askOutside, type OutsideAnswer } from '../net/ask-outside.ts';
import { type AddressList, refusalByList, shownAddress } from './address.ts';
import type { BegunFile, OpenedFile, Source } from './source.ts';

const MOST_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** These pass by themselves; other answers say that there is no such file for this host. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429]);
const HEAD_WITHIN_MS = 20_000;

export interface HttpRules extends AddressList {
  /** Addresses that are not public and may be asked all the same. */
  readonly networks: readonly string[];
}

/** Files at https addresses, and http ones where they are listed. */
export class HttpSource implements Source {
  readonly #rules: HttpRules;

  constructor(rules: HttpRules) {
    this.#rules = rules;
  }

  async open(
    address: string,
    known: string | undefined,
    begun: BegunFile | undefined,
    signal: AbortSignal,
  ): Promise<OpenedFile | undefined> {
    const resumes = begun !== undefined && begun.tag !== '' && begun.bytes > 0;
    const { status, headers, body } = await this.#ask(
      address,
      {
        // A copy that is packed on the way would have another length, and could not be gone on with.
        'accept-encoding': 'identity',
        ...(known && !resumes ? ifChanged(known) : {}),
        ...(resumes ? { range: `bytes=${begun.bytes}-`, 'if-range': begun.tag } : {}),
      },
      signal,
    );
    const tag = headers.etag ?? headers['last-modified'] ?? '';
    const length = Number(headers['content-length'] ?? Number.NaN);
    if (status === 200) return { bytes: Number.isNaN(length) ? undefined : length, tag, from: 0, body };
    if (
      status === 206 &&
      resumes &&
      Number(/^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1]) === begun.bytes
    ) {
      return { bytes: begun.bytes + length, tag: begun.tag, from: begun.bytes, body };
    }
    body.destroy();
    if (status === 304) return undefined;
    // Nothing is left to come, as of a process that was killed at the end; or another part than was asked for.
    if (resumes && (status === 416 || status === 206)) return await this.open(address, known, undefined, signal);
    const message = `${shownAddress(address)} answered ${status}`;
    if (status >= 500 || BUSY.has(status) || status < 400) throw new FarmError('model_unreachable', message);
    throw new FarmError('model_file_missing', message);
  }

  /** Every address on the way must be listed, those of redirects too. */
  async #ask(address: string, headers: Record<string, string>, signal: AbortSignal): Promise<OutsideAnswer> {
    const rules = { allowPrivate: false, allowed: this.#rules.networks };
    let url = address;
    for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
      const refused = refusalByList(url, this.#rules);
      if (refused !== undefined || url.startsWith('s3:')) {
        throw new FarmError('address_refused', `${shownAddress(address)} leads to ${shownAddress(url)}: ${refused}`);
      }
      const answer = await askOutside({ url, method: 'GET', headers, rules, timeoutMs: HEAD_WITHIN_MS, signal }).catch(
        unreachable,
      );
      const { location } = answer.headers;
      if (!REDIRECTS.has(answer.status) || location === undefined) return answer;
      answer.body.destroy();
      url = URL.parse(location, url)?.href ?? location;
    }
    throw new FarmError(
      'model_unreachable',
      `${shownAddress(address)} is behind more than ${MOST_REDIRECTS} redirects`,
    );
  }
}

/** An ETag is in quotes; else it is the time of the last change. */
function ifChanged(tag: string): Record<string, string> {
  return tag.includes('"') ? { 'if-none-match': tag } : { 'if-modified-since': tag };
}

function unreachable(error: unknown): never {
  const fault = FarmError.from(error);
  if (fault.code !== 'remote_failed') throw error;
  throw new FarmError('model_unreachable', fault.message, { cause: error });
}
