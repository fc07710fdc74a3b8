import { isIP } from 'node:net';
import { FarmError } from '../errors/farm-error.ts';
import { shown } from '../errors/faulty-input.ts';
import { type AddressRules, refusalOf } from './address-rules.ts';

/** Longer ones are no address that a person or a program of good will sends. */
export const MAX_URL_LENGTH = 2048;

/**
 * An http or https address outside the farm, checked as far as that goes without asking for its name: form, scheme, no
 * login in it, and, where its host is an address, that this may be asked. Names are checked when they are resolved, by
 * `askOutside`. FarmError: request_invalid, address_refused.
 */
export function parseOutsideUrl(text: string, rules: AddressRules): URL {
  if (text.length > MAX_URL_LENGTH)
    throw invalid(`The address has ${text.length} characters, more than ${MAX_URL_LENGTH}`);
  const url = URL.parse(text);
  if (!url) throw invalid(`${shown(text)} is no address such as https://example.com/path`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw invalid(`${shown(text)}: expected http or https`);
  if (url.username !== '' || url.password !== '') throw invalid('An address must not have a name and password in it');
  const address = literalAddress(url);
  if (address) refuseAddress(address, url.hostname, rules);
  return url;
}

/** The IP address that stands as host in a URL, without brackets; undefined for a name. */
export function literalAddress({ hostname }: URL): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

/** FarmError('address_refused') unless the rules let `address` be asked. @param host as it was given. */
export function refuseAddress(address: string, host: string, rules: AddressRules): void {
  const why = refusalOf(address, rules);
  if (why === undefined) return;
  const leadsTo = host === address ? address : `${host}, which is ${address},`;
  throw new FarmError('address_refused', `The farm does not ask ${leadsTo} since ${why}`);
}

function invalid(message: string): FarmError {
  return new FarmError('request_invalid', message);
}
