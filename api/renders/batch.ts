import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Batch } from '../../shared/views/batch-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { RenderOptions, StoredUpload } from './request.ts';
import type { RenderSubmission, Submitter } from './submission.ts';

/** Several renders in one request: each is taken or refused by itself. */

/** Most sounds of a batch. */
export const MOST_IN_A_BATCH = 500;
/** Sounds of a batch that are fetched or submitted at a time. */
const AT_ONCE = 4;

/** One of the sounds. What either function throws is said of this one alone. */
export interface BatchItem {
  /** As far as it is known before the sound is there. */
  readonly fileName: string | undefined;
  readonly options: () => RenderOptions;
  readonly submitter: Submitter;
  /** Where it came with the request. */
  readonly stored?: StoredUpload | undefined;
  /** Brings it to the store where it did not; throws what was wrong with it where it should have. */
  readonly fetch: () => Promise<StoredUpload>;
}

/** The submitter of one item: repeating a batch under its key repeats each item under a key of its own. */
export function submitterOf({ caller, idempotencyKey }: Submitter, index: number): Submitter {
  return { caller, idempotencyKey: idempotencyKey === undefined ? undefined : `${idempotencyKey}#${index}` };
}

/** Submits all of them, some at a time. Never rejects: the answer says what was wrong with which. */
export async function submitBatch(submission: RenderSubmission, items: readonly BatchItem[]): Promise<Batch> {
  const answers: Batch['items'] = [];
  const left = items.entries();
  const work = async () => {
    for (const [index, item] of left) answers[index] = await answerOf(submission, item, index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const taken = answers.filter(({ render }) => render !== null).length;
  return { taken, refused: answers.length - taken, items: answers };
}

async function answerOf(submission: RenderSubmission, item: BatchItem, index: number): Promise<Batch['items'][number]> {
  try {
    const render = await submitItem(submission, item);
    return { index, file_name: render.file_name, render, error: null };
  } catch (error) {
    return { index, file_name: item.fileName ?? null, render: null, error: FarmError.from(error).toReport() };
  }
}

async function submitItem(submission: RenderSubmission, item: BatchItem): Promise<RenderView> {
  let options: RenderOptions;
  try {
    options = item.options();
  } catch (error) {
    if (item.stored) await submission.discardUpload(item.stored.renderId);
    throw error;
  }
  const upload = item.stored ?? (await item.fetch());
  return await submission.submit(upload, options, item.submitter);
}
