import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { AddressRules } from './address-rules.ts';
import { refuseAddress } from './outside-url.ts';

/** As `dns.lookup` with `all`. */
export type LookupAll = (
  host: string,
  options: LookupOptions & { all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * The `lookup` for a socket that is to be opened to an address outside: what it returns was checked, and the socket
 * connects to nothing else, so a name that is resolved anew in between leads nowhere else. A name with one address that
 * is refused is refused whole. The socket fails with FarmError('address_refused').
 * @param resolve asks for the addresses of a name; for tests.
 */
export function checkedLookup(rules: AddressRules, resolve: LookupAll = systemLookup): LookupFunction {
  return (host, options, done) => {
    resolve(host, { ...options, all: true }, (error, addresses) => {
      const fault = error ?? findRefusal(host, addresses, rules);
      const [first] = addresses ?? [];
      if (fault) done(fault as NodeJS.ErrnoException, '');
      else if (options.all) done(null, addresses);
      else if (first) done(null, first.address, first.family);
      else done(Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' }), '');
    });
  };
}

function findRefusal(host: string, addresses: readonly LookupAddress[], rules: AddressRules): Error | undefined {
  try {
    for (const { address } of addresses) refuseAddress(address, host, rules);
    return undefined;
  } catch (refusal) {
    return refusal as Error;
  }
}
