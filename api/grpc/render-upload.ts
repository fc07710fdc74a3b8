import { Readable } from 'node:stream';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Batch } from '../../shared/views/batch-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { Caller } from '../access/caller.ts';
import { type BatchItem, MOST_IN_A_BATCH, submitBatch } from '../renders/batch.ts';
import type { StoredUpload } from '../renders/request.ts';
import type { Services } from '../services.ts';
import type { RenderSpec, SubmitRenderRequest } from './messages/farm.ts';
import { type RenderWish, readSpec } from './render-spec.ts';
import { UploadReader } from './upload-reader.ts';

/** A call that brings sounds. */
export interface UploadCall {
  readonly messages: AsyncIterator<SubmitRenderRequest>;
  readonly caller: Caller;
  /** Aborted when the call has ended. */
  readonly signal: AbortSignal;
}
type UploadServices = Pick<Services, 'config' | 'submission'>;

/** What is left out when a sound that was fetched has a name of its own. */
const UNNAMED = 'audio';

/** Takes the one render of a call. */
export async function submitOne(services: UploadServices, call: UploadCall): Promise<RenderView> {
  const { config, submission } = services;
  const reader = new UploadReader(call.messages);
  const wish = readSpec(config, await reader.spec());
  const submitter = { caller: call.caller, idempotencyKey: wish.idempotencyKey };
  // Refuse before the upload is read; submit counts again when the record is written.
  await submission.refuseIfFull(submitter);
  if (wish.audioUrl !== undefined) await reader.refuseMore('none, as the spec has an audio_url');
  const stored =
    wish.audioUrl === undefined
      ? await submission.storeUpload(wish.fileName ?? UNNAMED, Readable.from(onlySound(reader)))
      : await fetchSound(services, wish, wish.audioUrl, call.signal);
  return await submission.submit(stored, wish.options, submitter);
}

async function* onlySound(reader: UploadReader): AsyncGenerator<Buffer> {
  yield* reader.audio();
  await reader.refuseMore('audio');
}

async function fetchSound(
  { submission }: UploadServices,
  { fileName }: RenderWish,
  url: string,
  signal: AbortSignal,
): Promise<StoredUpload> {
  const stored = await submission.storeFromUrl(url, signal);
  return fileName === undefined ? stored : { ...stored, fileName };
}

/** Takes each sound of a call alone, once all have come. FarmError('request_invalid') for a call that is none. */
export async function submitMany(services: UploadServices, call: UploadCall): Promise<Batch> {
  const items: BatchItem[] = [];
  try {
    const reader = new UploadReader(call.messages);
    for (let spec = await reader.spec(); spec !== undefined; spec = await reader.spec()) {
      if (items.length === MOST_IN_A_BATCH) {
        throw new FarmError('request_invalid', `More than ${MOST_IN_A_BATCH} sounds, the most that a batch may have`);
      }
      items.push(await readItem(services, spec, reader, call));
    }
    call.signal.throwIfAborted();
  } catch (error) {
    for (const { stored } of items) if (stored) await services.submission.discardUpload(stored.renderId);
    throw error;
  }
  return await submitBatch(services.submission, items);
}

/** What is wrong with one sound is kept with it. */
async function readItem(
  services: UploadServices,
  spec: RenderSpec,
  reader: UploadReader,
  { caller, signal }: UploadCall,
): Promise<BatchItem> {
  let fileName = spec.file_name || undefined;
  const submitter = { caller, idempotencyKey: spec.idempotency_key || undefined };
  try {
    const wish = readSpec(services.config, spec);
    const { audioUrl } = wish;
    const options = () => wish.options;
    if (audioUrl !== undefined) {
      if (await reader.hasAudio()) throw new FarmError('request_invalid', 'The sound has a file and an audio_url');
      const fetch = async () => {
        await services.submission.refuseIfFull(submitter);
        return await fetchSound(services, wish, audioUrl, signal);
      };
      return { fileName, options, submitter, fetch };
    }
    fileName ??= UNNAMED;
    await services.submission.refuseIfFull(submitter);
    const stored = await services.submission.storeUpload(fileName, Readable.from(reader.audio()));
    return { fileName, options, submitter, stored, fetch: async () => stored };
  } catch (error) {
    const refuse = () => {
      throw error;
    };
    return { fileName, options: refuse, submitter, fetch: refuse };
  }
}
