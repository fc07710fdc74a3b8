import type { Bucket } from '../s3/bucket.ts';
import { bucketPlace } from '../s3/bucket-settings.ts';
import { type FarmMark, MARK_NAME } from './mark.ts';

/** The mark in a bucket, below its prefix. */
export function bucketMark(bucket: Bucket): FarmMark {
  const { Bucket: name, Key: key } = bucket.place(MARK_NAME);
  return {
    place: bucketPlace(bucket.settings),
    howToWrite: (id) => `write ${id} into the object ${key} of ${name}`,
    howToShow: `write an object ${bucket.place('renders/moved').Key} into ${name}`,
    read: async () => (await bucket.contents(MARK_NAME))?.toString(),
    writeOnce: (id) => bucket.put(MARK_NAME, Buffer.from(`${id}\n`), { ifAbsent: true }),
    async holdsRenders() {
      for await (const _ of bucket.list('renders/')) return true;
      return false;
    },
  };
}
