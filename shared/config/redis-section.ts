import { z } from 'zod';
import { isTlsAddress, readGuidedAddress } from '../redis/address.ts';
import { section } from './value-forms.ts';

/** What is wrong with an address of Redis, in words; undefined for a good one, and for none. */
function faultOf(url: string): string | undefined {
  try {
    if (url === '' || readGuidedAddress(url)) return undefined;
    return /^rediss?:\/\//.test(url) ? undefined : 'expected redis://host:port or rediss://host:port';
  } catch (error) {
    return (error as Error).message;
  }
}

/** One server, Sentinels or a cluster: shared/redis/address.ts says how each is written. */
const address = z
  .string()
  .superRefine((url, context) => {
    const message = faultOf(url);
    if (message) context.addIssue({ code: 'custom', message });
  })
  .default('');

const redisValues = section({
  /** Empty: `farm up` starts a private Redis of its own. */
  url: address,
  /** A second Redis for the payload and the frames of live requests that go over Redis; empty: the same one. */
  live_url: address,
  /** PEM files of connections by `rediss`; relative paths begin at the configuration file. */
  tls: section({
    /** Authorities that the servers' certificates are checked against; empty: those of the system. */
    ca_path: z.string().default(''),
    /** What the farm shows of itself; empty: nothing. */
    cert_path: z.string().default(''),
    key_path: z.string().default(''),
    /** The name in the servers' certificates, where it is not the host in the address. */
    servername: z.string().default(''),
  }),
  /** What Sentinels ask for, beside what the primary asks for. */
  sentinel: section({
    username: z.string().default(''),
    password: z.string().default(''),
  }),
});

/** The section `redis`. */
export const redis = redisValues.superRefine(({ url, live_url, tls }, context) => {
  const isPlain = url !== '' && ![url, live_url].some(isTlsAddress);
  for (const key of isPlain ? (['ca_path', 'cert_path', 'key_path', 'servername'] as const) : []) {
    if (tls[key] === '') continue;
    const message = 'expected "", since redis.url begins with redis, and not with rediss';
    context.addIssue({ code: 'custom', path: ['tls', key], message });
  }
});
