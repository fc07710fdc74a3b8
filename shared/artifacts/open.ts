import type { Config } from '../config/load.ts';
import { Bucket, type BucketOptions } from '../s3/bucket.ts';
import type { BucketSettings } from '../s3/bucket-settings.ts';
import { S3Artifacts } from '../s3/s3-artifacts.ts';
import { WorkFolder } from '../s3/work-folder.ts';
import { LocalArtifacts } from './local-artifacts.ts';
import type { ArtifactStore } from './store.ts';

/** Where the files of renders are. It is data, so that threads get it. */
export interface StoreSettings {
  /** The folder; with a bucket, where this host works. */
  readonly storageRoot: string;
  readonly bucket?: BucketSettings | undefined;
}

/** What `storage.driver` says. */
export function storeSettings({ storage, storageRoot }: Pick<Config, 'storage' | 'storageRoot'>): StoreSettings {
  return { storageRoot, bucket: storage.driver === 's3' ? storage.s3 : undefined };
}

/** The store. Nothing is looked at: what is wrong with it shows at the first use. */
export function openArtifacts({ storageRoot, bucket }: StoreSettings, options?: BucketOptions): ArtifactStore {
  if (!bucket) return new LocalArtifacts(storageRoot);
  return new S3Artifacts(new Bucket(bucket, options), new WorkFolder(storageRoot));
}
