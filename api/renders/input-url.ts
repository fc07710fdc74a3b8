import { Readable } from 'node:stream';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { NAME_MAX } from '../../shared/limits.ts';
import { askOutside, type OutsideAnswer } from '../../shared/net/ask-outside.ts';
import { parseOutsideUrl } from '../../shared/net/outside-url.ts';

/** Sounds that the farm fetches itself, from hosts that its configuration lists. */

const MOST_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** A sound on its way. */
export interface FetchedInput {
  readonly fileName: string;
  /** Fails with a FarmError. */
  readonly content: Readable;
  /** As the other side says; 0: it does not. */
  readonly announcedBytes: number;
}

/**
 * Begins to fetch a sound. Every address on the way, those of redirects too, must have a host that
 * inputs.url_hosts lists and, unless inputs.url_networks lists it, a public IP address.
 * FarmError: request_invalid, address_refused, remote_failed.
 */
export async function fetchInput(
  text: string,
  { inputs }: Pick<Config, 'inputs'>,
  signal: AbortSignal,
): Promise<FetchedInput> {
  const inTime = AbortSignal.timeout(inputs.url_timeout_seconds * 1000);
  const ended = AbortSignal.any([signal, inTime]);
  try {
    const answer = await ask(text, inputs, ended);
    return {
      fileName: nameIn(answer.url),
      content: Readable.from(contentOf(answer, inTime, inputs.url_timeout_seconds), { objectMode: false }),
      announcedBytes: Number(answer.headers['content-length']) || 0,
    };
  } catch (error) {
    throw inTime.aborted && !signal.aborted ? tooSlow(text, inputs.url_timeout_seconds) : error;
  }
}

async function ask(text: string, inputs: Config['inputs'], signal: AbortSignal): Promise<OutsideAnswer> {
  const rules = { allowPrivate: false, allowed: inputs.url_networks };
  let url = parseOutsideUrl(text, rules);
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    refuseUnlisted(url, inputs.url_hosts);
    const timeoutMs = inputs.url_timeout_seconds * 1000;
    const answer = await askOutside({ url: url.href, method: 'GET', rules, timeoutMs, signal });
    const { location } = answer.headers;
    if (answer.status === 200) return answer;
    answer.body.destroy();
    if (!REDIRECTS.has(answer.status) || location === undefined) {
      throw new FarmError('remote_failed', `${shownUrl(url)} answered ${answer.status}, expected 200`);
    }
    url = parseOutsideUrl(URL.parse(location, url.href)?.href ?? location, rules);
  }
  throw new FarmError('remote_failed', `${shownUrl(url)} is behind more than ${MOST_REDIRECTS} redirects`);
}

function refuseUnlisted({ hostname }: URL, hosts: readonly string[]): void {
  if (hosts.length === 0) {
    throw new FarmError('address_refused', 'This farm fetches no sounds: inputs.url_hosts lists no host');
  }
  const isListed = hosts.some((host) =>
    host.startsWith('*.') ? hostname.endsWith(host.slice(1).toLowerCase()) : hostname === host.toLowerCase(),
  );
  if (!isListed) throw new FarmError('address_refused', `inputs.url_hosts does not list ${hostname}`);
}

async function* contentOf({ body, url }: OutsideAnswer, inTime: AbortSignal, seconds: number): AsyncGenerator<Buffer> {
  try {
    yield* body as AsyncIterable<Buffer>;
  } catch (error) {
    if (inTime.aborted) throw tooSlow(url.href, seconds);
    throw new FarmError('remote_failed', `${shownUrl(url)} broke off: ${(error as Error).message}`, { cause: error });
  } finally {
    body.destroy();
  }
}

function tooSlow(text: string, seconds: number): FarmError {
  return new FarmError('remote_failed', `${shownUrl(new URL(text))} was not sent whole within ${seconds} s`);
}

/** What stands behind the path may be a secret. */
function shownUrl({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

function nameIn({ pathname }: URL): string {
  const last = pathname.split('/').at(-1) ?? '';
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
    // Not encoded as it should be: the name is only shown.
  }
  return name.slice(0, NAME_MAX) || 'audio';
}
