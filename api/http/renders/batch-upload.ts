import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Config } from '../../../shared/config/load.ts';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { type BatchItem, MOST_IN_A_BATCH, submitterOf } from '../../renders/batch.ts';
import type { StoredUpload } from '../../renders/request.ts';
import type { RenderSubmission, Submitter } from '../../renders/submission.ts';
import { fileFieldsSchema, jsonFieldsSchema, readFields } from './render-fields.ts';
import { addField, formLimits, ofBody, storePart } from './render-upload.ts';

/** Bytes of the field `items`. */
const ITEMS_BYTES = 2 ** 20;
const fieldsOfItem = z.record(z.string(), z.unknown());
const itemsSchema = z.array(fieldsOfItem).max(MOST_IN_A_BATCH);
export const batchBodySchema = z.strictObject({
  defaults: fieldsOfItem.default({}).describe('Fields of all items that do not have them'),
  items: itemsSchema.min(1).describe('Each with an audio_url, and with any other field of a render'),
});

/** What reading a batch needs. */
export interface BatchReading {
  readonly submission: RenderSubmission;
  readonly config: Config;
  readonly submitter: Submitter;
  /** Aborted when the sender goes away. */
  readonly connected: AbortSignal;
}

/**
 * Reads a batch: a form with files, or JSON with addresses. What is wrong with one item is kept with it.
 * FarmError: upload_missing, request_invalid, request_cancelled.
 */
export async function readBatch(request: FastifyRequest, reading: BatchReading): Promise<BatchItem[]> {
  if (request.isMultipart()) return await readForm(request, reading);
  const parsed = batchBodySchema.safeParse(request.body);
  if (parsed.success) {
    const { defaults, items } = parsed.data;
    return items.map((item, index) =>
      urlItem({ ...defaults, ...item }, submitterOf(reading.submitter, index), reading),
    );
  }
  if (typeof request.body !== 'object' || request.body === null || 'pipe' in request.body) {
    throw new FarmError('upload_missing', 'Expected multipart/form-data with files, or application/json with items');
  }
  throw new FarmError('request_invalid', `Wrong body: ${z.prettifyError(parsed.error)}`);
}

function urlItem(
  fields: Record<string, unknown>,
  submitter: Submitter,
  { submission, config, connected }: BatchReading,
): BatchItem {
  const read = () => readFields(jsonFieldsSchema(config), fields, 'item', config);
  return {
    fileName: undefined,
    options: () => read().options,
    submitter,
    async fetch() {
      const { audioUrl } = read();
      if (audioUrl === undefined) throw new FarmError('upload_missing', 'The item has no field "audio_url"');
      await submission.refuseIfFull(submitter);
      return await submission.storeFromUrl(audioUrl, connected);
    },
  };
}

/** A file of the form, in the store or refused. */
type FormFile = { fileName: string } & ({ stored: StoredUpload } | { error: unknown });

async function readForm(request: FastifyRequest, reading: BatchReading): Promise<BatchItem[]> {
  const files: FormFile[] = [];
  const fields = new Map<string, string>();
  const limits = { ...formLimits(reading.config.limits, MOST_IN_A_BATCH), fieldSize: ITEMS_BYTES };
  // A file that is too large is refused by the store, alone.
  const settings = { limits, throwFileSizeLimit: false };
  try {
    for await (const part of ofBody(request, () => request.parts(settings))) {
      if (part.type === 'field') addField(fields, part);
      else files.push(await storeFile(part, request, reading, files.length));
    }
    if (files.length === 0) throw new FarmError('upload_missing', 'The form has no file field "audio"');
    return itemsOf(files, fields, reading);
  } catch (error) {
    for (const file of files) if ('stored' in file) await reading.submission.discardUpload(file.stored.renderId);
    request.raw.unpipe();
    request.raw.resume();
    throw error;
  }
}

async function storeFile(
  part: Parameters<typeof storePart>[0],
  request: FastifyRequest,
  { submission, submitter }: BatchReading,
  index: number,
): Promise<FormFile> {
  const fileName = part.filename || 'audio';
  try {
    await submission.refuseIfFull(submitterOf(submitter, index));
    return { fileName, stored: await storePart(part, request, submission) };
  } catch (error) {
    if (error instanceof FarmError && error.code === 'request_cancelled') throw error;
    // The next file comes once this one has been read.
    part.file.resume();
    return { fileName, error };
  }
}

function itemsOf(
  files: readonly FormFile[],
  fields: Map<string, string>,
  { config, submitter }: BatchReading,
): BatchItem[] {
  const own = ownFields(fields.get('items'));
  fields.delete('items');
  if (own.length > files.length) {
    throw new FarmError('request_invalid', `items: got ${own.length} for ${files.length} files`);
  }
  return files.map((file, index) => {
    const wanted = { ...Object.fromEntries(fields), ...own[index] };
    return {
      fileName: file.fileName,
      options: () => readFields(fileFieldsSchema(config), wanted, 'item', config).options,
      submitter: submitterOf(submitter, index),
      ...('stored' in file ? { stored: file.stored } : {}),
      fetch: async () => {
        throw 'error' in file
          ? file.error
          : new FarmError('internal', 'A file of a batch is neither there nor refused');
      },
    };
  });
}

/** The fields that each file has of its own, as a form writes them. */
function ownFields(text = '[]'): Record<string, string>[] {
  const parsed = itemsSchema.safeParse(jsonOf(text));
  if (!parsed.success) {
    throw new FarmError('request_invalid', 'items: expected a JSON array of objects, one for each file');
  }
  const asText = (value: unknown) =>
    typeof value === 'string' ? value : Array.isArray(value) ? value.join(',') : JSON.stringify(value);
  return parsed.data.map((item) =>
    Object.fromEntries(Object.entries(item).map(([name, value]) => [name, asText(value)])),
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Refused by its schema.
  }
}
