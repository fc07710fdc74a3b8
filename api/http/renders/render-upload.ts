import { Readable } from 'node:stream';
import type { MultipartValue } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Config } from '../../../shared/config/load.ts';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { MB } from '../../../shared/units.ts';
import type { RenderOptions, StoredUpload } from '../../renders/request.ts';
import type { RenderSubmission } from '../../renders/submission.ts';
import type { Services } from '../../services.ts';
import { checkFileName, type FilePart, FormFiles } from './form-files.ts';
import { fileFieldsSchema, formFieldsSchema, jsonFieldsSchema, readFields } from './render-fields.ts';

/** Text fields of a form, and how long each may be. The fields that are read are fewer and shorter. */
const FORM_LIMITS = { fields: 16, fieldBytes: 4096 } as const;

/** Files of a form for one render: a sound, a video, and where the mouth is in it. */
const FORM_FILES = 3;

/** For the reader of forms. Its limit of the file is the second line: the store counts, and refuses with the farm's error. */
export function formLimits({ max_upload_mb }: Config['limits'], files = FORM_FILES) {
  const { fields, fieldBytes } = FORM_LIMITS;
  return { fileSize: (max_upload_mb + 1) * MB, files, fields, parts: fields + files, fieldSize: fieldBytes };
}

/** Bytes of the body as the sender says; 0 where it does not. */
export function announcedBytes({ headers }: Pick<FastifyRequest, 'headers'>): number {
  return Number(headers['content-length']) || 0;
}

/** The whole form, for the description of the API: the reader takes file and fields apart as they come. */
export function renderFormSchema(config: Pick<Config, 'output'>) {
  return formFieldsSchema(config).extend({
    audio: z.file().optional(),
    video: z.file().optional().describe("The person's own footage, in place of the avatar's pictures"),
    rects: z.file().optional().describe('Of a video: its crop rects, one a frame, as JSON'),
    landmarks: z.file().optional().describe('Of a video: its landmarks, 110 lines a frame, instead of rects'),
  });
}

/** The form of a batch: its fields hold for all of its files. */
export function batchFormSchema(config: Pick<Config, 'output'>) {
  const items = z.string().describe('JSON array: the fields that each file has of its own, in the order of the files');
  return fileFieldsSchema(config).extend({ audio: z.array(z.file()), items: items.optional() });
}

/** A sound that lies in the store, and what is to be made of it. */
export interface ReadUpload {
  readonly upload: StoredUpload;
  readonly options: RenderOptions;
}

/** Reads a request for one render: a form with the file or its address, or JSON with the address. */
export async function readRenderUpload(
  request: FastifyRequest,
  { submission, uploads, config }: Pick<Services, 'submission' | 'uploads' | 'config'>,
  connected: AbortSignal,
): Promise<ReadUpload> {
  if (request.isMultipart()) return await readForm(request, { submission, uploads, config }, connected);
  const { body } = request;
  if (typeof body === 'object' && body !== null && !(body instanceof Readable)) {
    const { options, audioUrl, uploadId } = readFields(jsonFieldsSchema(config), { ...body }, 'body', config);
    if (uploadId !== undefined && audioUrl !== undefined) throw twoSounds('an audio_url');
    if (uploadId !== undefined) return { upload: await uploads.take(uploadId, request.caller), options };
    if (audioUrl === undefined)
      throw new FarmError('upload_missing', 'The request has no field "audio_url", and no "upload_id"');
    return { upload: await submission.storeFromUrl(audioUrl, connected), options };
  }
  const got = request.headers['content-type'] ?? 'no content type';
  throw new FarmError('upload_missing', `Expected multipart/form-data or application/json, got ${got}`);
}

function twoSounds(other: string): FarmError {
  return new FarmError('request_invalid', `upload_id: there is ${other} as well; expected one sound`);
}

async function readForm(
  request: FastifyRequest,
  { submission, uploads, config }: Pick<Services, 'submission' | 'uploads' | 'config'>,
  connected: AbortSignal,
): Promise<ReadUpload> {
  const fields = new Map<string, string>();
  const files = new FormFiles(submission);
  try {
    for await (const part of ofBody(request, () => request.parts())) {
      if (part.type === 'field') addField(fields, part);
      else await files.store(part, contentOf(part, request));
    }
    const wish = readFields(formFieldsSchema(config), Object.fromEntries(fields), 'form', config);
    const { options, audioUrl, uploadId } = wish;
    if (uploadId !== undefined) {
      if (files.hasAny || audioUrl !== undefined) throw twoSounds('a file or an audio_url');
      return { upload: await uploads.take(uploadId, request.caller), options };
    }
    files.check(options);
    const upload = await files.whole(audioUrl, connected);
    return { upload, options };
  } catch (error) {
    await files.discard();
    // What is left of the body must be read, or the next request on this connection waits behind it for ever.
    request.raw.unpipe();
    request.raw.resume();
    throw error;
  }
}

/** What is read of the body. Whatever fails here, and not where it is used, is a fault of the body or of its sender. */
export async function* ofBody<T>(request: FastifyRequest, read: () => AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* read();
  } catch (error) {
    throw bodyFault(request, error as Error & { code?: string });
  }
}

function bodyFault({ raw }: FastifyRequest, cause: Error & { code?: string }): FarmError {
  if (raw.destroyed && !raw.complete) {
    return new FarmError('request_cancelled', 'The client went away before its upload was complete', { cause });
  }
  switch (cause.code) {
    case 'FST_FILES_LIMIT':
      return new FarmError('request_invalid', 'The form has more files than it may have', { cause });
    case 'FST_FIELDS_LIMIT':
    case 'FST_PARTS_LIMIT':
      return new FarmError('request_invalid', `The form has more than ${FORM_LIMITS.fields} text fields`, { cause });
    default:
      return new FarmError('request_invalid', `The form cannot be read: ${cause.message}`, { cause });
  }
}

/** Notes a text field of a form. FarmError('request_invalid') when it is too long, or there already. */
export function addField(fields: Map<string, string>, { fieldname, value, valueTruncated }: MultipartValue): void {
  if (valueTruncated) {
    throw new FarmError('request_invalid', `${fieldname}: longer than ${FORM_LIMITS.fieldBytes} bytes`);
  }
  if (fields.has(fieldname)) throw new FarmError('request_invalid', `${fieldname}: given twice`);
  fields.set(fieldname, String(value));
}

/** Streams the sound of a form to the store. FarmError: upload_missing, request_invalid, those of storeUpload. */
export async function storePart(
  part: FilePart,
  request: FastifyRequest,
  submission: RenderSubmission,
): Promise<StoredUpload> {
  if (part.fieldname !== 'audio') {
    part.file.resume();
    // A part that has a file name alone comes with no field name, whatever its type says.
    const field = (part.fieldname as string | undefined) ?? '';
    throw new FarmError('upload_missing', `The file must be in the field "audio", not "${field}"`);
  }
  checkFileName(part);
  return await submission.storeUpload(part.filename || 'audio', contentOf(part, request));
}

function contentOf({ file }: FilePart, request: FastifyRequest): Readable {
  // What is left of a file that is refused is read by whoever goes on with the form.
  return Readable.from(
    ofBody(request, () => file.iterator({ destroyOnReturn: false })),
    { objectMode: false },
  );
}
