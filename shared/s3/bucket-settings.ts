/** Where objects are, as the section `storage.s3` of the configuration says it. Holds no secret. */
export interface BucketSettings {
  readonly bucket: string;
  /** Before every key, without a slash at either end; empty: none. */
  readonly prefix: string;
  /** Address of a server that is not AWS; empty: AWS. */
  readonly endpoint: string;
  /** Empty: as the environment says, and us-east-1 with an endpoint. */
  readonly region: string;
  /** Whether the bucket's name stands in the path rather than in the host's name; auto: with an endpoint. */
  readonly path_style: boolean | 'auto';
}

/** Where the presigned addresses of its objects lead, as browsers are told: an origin, or a pattern of origins. */
export function bucketOrigin({ bucket, endpoint, path_style }: BucketSettings): string {
  if (!endpoint) return 'https://*.amazonaws.com';
  const { protocol, host } = new URL(endpoint);
  return `${protocol}//${path_style === false ? `${bucket}.` : ''}${host}`;
}

/** Where the keys of a farm are, for people: `the bucket "farm", below studio/`. */
export function bucketPlace(settings: BucketSettings): string {
  return `${bucketName(settings)}${settings.prefix ? `, below ${settings.prefix}/` : ''}`;
}

/** A bucket for people: `the bucket "farm" at http://10.0.0.7:9000`. */
export function bucketName({ bucket, endpoint }: Pick<BucketSettings, 'bucket' | 'endpoint'>): string {
  return `the bucket "${bucket}"${endpoint ? ` at ${endpoint}` : ''}`;
}
