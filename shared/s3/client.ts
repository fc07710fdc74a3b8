import type { S3Client } from '@aws-sdk/client-s3';
import { readAwsRegion } from '../process/environment.ts';
import type { BucketSettings } from './bucket-settings.ts';

const CONNECTED_WITHIN_MS = 3000;
/** From the request's last byte to the answer's first; and the longest silence within an answer. */
const ANSWERED_WITHIN_MS = 20_000;
const SILENT_FOR_MS = 20_000;
/** Requests at once: of frames, of parts and of reads together. */
const SOCKETS = 64;
/** At once, for what passes in milliseconds; what lasts longer is tried again by `Bucket`. */
const ATTEMPTS = 3;
/** What servers other than AWS expect to be told. */
const USUAL_REGION = 'us-east-1';

/** The client's package, loaded by who uses a bucket: it takes as long as a quarter of a process's start. */
export type S3Module = typeof import('@aws-sdk/client-s3');

let loading: Promise<S3Module> | undefined;

/** The S3 client's package. */
export async function loadS3(): Promise<S3Module> {
  loading ??= import('@aws-sdk/client-s3');
  return await loading;
}

/**
 * A client for the server of a bucket. Credentials come from the environment, the files of the AWS tools, or the host's
 * role. It adds checksums where the protocol demands them only: other servers than AWS may not know them.
 */
export async function makeS3Client({ endpoint, region, path_style }: BucketSettings): Promise<S3Client> {
  const { S3Client } = await loadS3();
  const chosen = region || readAwsRegion() || (endpoint ? USUAL_REGION : undefined);
  return new S3Client({
    ...(chosen ? { region: chosen } : {}),
    ...(endpoint ? { endpoint } : {}),
    forcePathStyle: path_style === 'auto' ? endpoint !== '' : path_style,
    maxAttempts: ATTEMPTS,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECTED_WITHIN_MS,
      requestTimeout: ANSWERED_WITHIN_MS,
      throwOnRequestTimeout: true,
      socketTimeout: SILENT_FOR_MS,
      httpAgent: { maxSockets: SOCKETS, keepAlive: true },
      httpsAgent: { maxSockets: SOCKETS, keepAlive: true },
    },
  });
}
