import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Which addresses outside the farm it asks on somebody else's word: webhooks, inputs by URL. */
export interface AddressRules {
  /** True: private, loopback and unique-local addresses may be asked. Link-local ones must be listed all the same. */
  readonly allowPrivate: boolean;
  /** Addresses and networks that may be asked whatever they are: "127.0.0.1", "10.2.0.0/16", "fd12::/48". */
  readonly allowed: readonly string[];
}

/** Public addresses alone. */
export const PUBLIC_ONLY: AddressRules = { allowPrivate: false, allowed: [] };

/** Opened by `allowPrivate`. Carrier-grade NAT is what private networks between sites use, too. */
const PRIVATE_RANGES: ReadonlySet<string> = new Set(['private', 'loopback', 'uniqueLocal', 'carrierGradeNat']);

/**
 * Where clouds tell a machine its own secrets, outside the link-local range (169.254.169.254 is inside it): Alibaba,
 * Azure, AWS over IPv6, Oracle. They must be listed, whatever `allowPrivate` says.
 */
const METADATA_ADDRESSES: ReadonlySet<string> = new Set([
  '100.100.100.200',
  '168.63.129.16',
  'fd00:ec2::254',
  '192.0.0.192',
]);

/**
 * Why an address must not be asked, as the end of a sentence ("it is a loopback address"); undefined when it may be. An
 * IPv4 address inside an IPv6 one (::ffff:10.0.0.1) counts as what it leads to.
 */
export function refusalOf(address: string, { allowPrivate, allowed }: AddressRules): string | undefined {
  if (isIP(address) === 0) return 'it is no IP address';
  const plain = ipaddr.process(address);
  if (allowed.some((network) => holds(network, plain))) return undefined;
  if (METADATA_ADDRESSES.has(plain.toString())) return 'it is an address of cloud metadata';
  const range = plain.range();
  if (range === 'unicast' || (allowPrivate && PRIVATE_RANGES.has(range))) return undefined;
  return `it is ${RANGE_WORDS[range] ?? 'a reserved'} address`;
}

const RANGE_WORDS: Readonly<Record<string, string>> = {
  private: 'a private',
  loopback: 'a loopback',
  uniqueLocal: 'a unique-local',
  linkLocal: 'a link-local',
  carrierGradeNat: 'a carrier-grade NAT',
  multicast: 'a multicast',
  broadcast: 'a broadcast',
  unspecified: 'the unspecified',
};

/** Whether `network` is this address or holds it. */
function holds(network: string, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  const [base, bits] = network.includes('/') ? ipaddr.parseCIDR(network) : wholeAddress(network);
  return base.kind() === address.kind() && address.match(base, bits);
}

function wholeAddress(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
