import { z } from 'zod';
import { orDefault, section } from './value-forms.ts';

/** "models.example.com", "*.example.com" and, for plain HTTP, "http://10.0.0.5:9000". */
const HOST = /^(?:http:\/\/|\*\.)?[\p{L}\p{N}](?:[\p{L}\p{N}._-]*[\p{L}\p{N}])?(?::\d{1,5})?$/iu;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/i;

/** Where files of models may be fetched from, and where each host keeps them. */
export const modelsFrom = section({
  /** Hosts of https addresses; plain HTTP is for those that are listed with "http://" before them. None: refused. */
  hosts: z
    .array(z.string().regex(HOST, 'expected a host such as "models.example.com", or "http://10.0.0.5:9000"'))
    .default([]),
  /** Buckets of s3 addresses, at the server that storage.s3 names, or at AWS. None: refused. */
  buckets: z.array(z.string().regex(BUCKET, 'expected the name of a bucket')).default([]),
  /** Addresses that are not public and may be asked all the same. */
  networks: z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])).default([]),
  /** Folder of what was fetched; empty: `models` under storage.root. */
  cache_dir: z.string().default(''),
  /** Above it goes what was used longest ago and is in no memory. */
  cache_gb: orDefault(z.number().positive(), 50),
  /** Whether a GPU worker fetches the files of all models when it starts, as far as they fit, or each at its first use. */
  prefetch: z.boolean().default(true),
});
