import type { StoreSettings } from '../artifacts/open.ts';
import { Bucket } from '../s3/bucket.ts';
import { bucketMark } from './bucket-mark.ts';
import { folderMark } from './folder-mark.ts';
import type { FarmMark } from './mark.ts';

/** Where the id of a farm is, beside its Redis. */
export function farmMark({ storageRoot, bucket }: StoreSettings): FarmMark {
  return bucket ? bucketMark(new Bucket(bucket)) : folderMark(storageRoot);
}
