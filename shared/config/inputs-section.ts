import { z } from 'zod';
import { positiveInt, section } from './value-forms.ts';

const HOST = /^(\*\.)?[\p{L}\p{N}](?:[\p{L}\p{N}._-]*[\p{L}\p{N}])?$|^\[[\da-f:.]+\]$/iu;

/** Sounds that are named by a URL. */
export const inputs = section({
  /** Hosts that the farm fetches sounds from: "cdn.example.com", "*.example.com"; none: it fetches nothing. */
  url_hosts: z
    .array(z.string().regex(HOST, 'expected a host name such as "cdn.example.com" or "*.example.com"'))
    .default([]),
  /** Addresses that are not public and may be asked all the same. */
  url_networks: z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])).default([]),
  /** For all of a sound, redirects included. */
  url_timeout_seconds: positiveInt(300),
});
