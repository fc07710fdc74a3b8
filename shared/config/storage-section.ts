import { z } from 'zod';
import { section } from './value-forms.ts';

const BUCKET = /^(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$/i;

/** Where objects are. Credentials are no configuration: they come from the environment or the host's role. */
const s3 = section({
  /** Address of a server that is not AWS: "https://minio.example.com:9000"; empty: AWS. */
  endpoint: z
    .string()
    .regex(/^(?:https?:\/\/[^\s@?#]+|)$/, 'expected http://host:port or https://host:port, without credentials')
    .transform((address) => address.replace(/\/+$/, ''))
    .default(''),
  /** Empty: AWS_REGION, or us-east-1 with an endpoint. */
  region: z.string().default(''),
  bucket: z.string().regex(BUCKET, 'expected the name of a bucket').default(''),
  /** Before every key of the farm, so that a bucket may hold other things; empty: none. */
  prefix: z
    .string()
    .regex(/^[\w.!'()/-]*$/, 'expected letters, digits, "/", "_", "-" and "."')
    .transform((prefix) => prefix.replace(/^\/+|\/+$/g, ''))
    .default(''),
  /** Whether the bucket's name stands in the path rather than in the host's name; auto: with an endpoint. */
  path_style: z.union([z.boolean(), z.literal('auto')], 'expected true, false or auto').default('auto'),
});

const isNamed = ({ driver, s3: { bucket } }: { driver: string; s3: { bucket: string } }) =>
  driver !== 's3' || bucket !== '';

/** Where uploads and results live. */
export const storage = section({
  /** A folder that all processes of the farm see, or a bucket. */
  driver: z.enum(['local', 's3']).default('local'),
  /** Folder for uploads and artifacts, or with s3 for what this host works on; and of the private Redis. */
  root: z.string().min(1).default('data'),
  /** Folder of the avatars' prepared pictures; empty: `prepared` under root. */
  prepared_dir: z.string().default(''),
  /** Segments that are kept for later renders: above it the least recently used ones go; 0: none are kept. */
  segment_cache_gb: z.number().nonnegative().default(10),
  /** With s3: whether videos and pictures are answered with an address in the bucket. */
  redirect: z.boolean().default(false),
  s3,
}).refine(isNamed, { path: ['s3', 'bucket'], message: 'expected the name of a bucket, since storage.driver is s3' });
