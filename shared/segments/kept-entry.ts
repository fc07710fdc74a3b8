import { z } from 'zod';
import { segmentReceiptSchema } from '../renders/record.ts';

/** What is kept of a segment besides its files: it is written last, so without it there is no entry. */

/** Raise it when an earlier version would read entries wrongly. */
const ENTRY_FORMAT = 1;
export const ENTRY_NAME = 'entry.json';

const keptFileSchema = z.object({
  /** In the entry's folder: `frame-000012`, say. */
  name: z.string().regex(/^[a-z0-9-]+$/),
  bytes: z.int().nonnegative(),
  sha256: z.string(),
});
export type KeptFile = z.infer<typeof keptFileSchema>;

/** What the receipt of a segment says that does not change when it is used again. */
const keptFactsSchema = segmentReceiptSchema.pick({
  gpu: true,
  worker: true,
  provider: true,
  width: true,
  height: true,
  alpha: true,
  silence: true,
  model_files: true,
});
export type KeptFacts = z.infer<typeof keptFactsSchema>;

export const keptEntrySchema = z.object({
  format: z.literal(ENTRY_FORMAT),
  files: z.array(keptFileSchema),
  facts: keptFactsSchema,
});
export type KeptEntry = z.infer<typeof keptEntrySchema>;

export function entryText(files: readonly KeptFile[], facts: KeptFacts): string {
  return JSON.stringify({ format: ENTRY_FORMAT, files: [...files], facts } satisfies KeptEntry);
}

/** Bytes that the files of an entry take. */
export function bytesOf({ files }: Pick<KeptEntry, 'files'>): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
