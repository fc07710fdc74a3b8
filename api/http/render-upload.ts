import { Readable } from 'node:stream';
import type { Multipart, MultipartValue } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { shown, unknownName } from '../../shared/faulty-input.ts';
import { JPEG_QUALITY, LAST_FRAME, LAST_START_FRAME, NAME_MAX } from '../../shared/limits.ts';
import { labelsSchema, RENDER_PRIORITIES } from '../../shared/renders/record.ts';
import { MB } from '../../shared/units.ts';
import { modelIdOf } from '../model-id.ts';
import {
  type RenderOptions,
  type RenderSubmission,
  type StoredUpload,
  withLabels,
  withPriority,
  withRange,
} from '../renders/submission.ts';
import { wholeNumber } from './whole-number.ts';

/** Text fields of a form, and how long each may be. The fields that are read are fewer and shorter. */
const FORM_LIMITS = { fields: 16, fieldBytes: 4096 } as const;

/** For the reader of forms. Its limit of the file is the second line: the store counts, and refuses with the farm's error. */
export function formLimits({ max_upload_mb }: Config['limits']) {
  const { fields, fieldBytes } = FORM_LIMITS;
  return { fileSize: (max_upload_mb + 1) * MB, files: 1, fields, parts: fields + 1, fieldSize: fieldBytes };
}

/** The labels of a form: a JSON object of texts. */
const labelsInText = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue('expected a JSON object such as {"project": "spring"}');
      return z.NEVER;
    }
  })
  .pipe(labelsSchema)
  .meta({ type: 'string', description: 'A JSON object of texts, such as {"project": "spring"}' });

/** The text fields beside the audio file. All may be left out. */
function renderFieldsSchema({ output }: Pick<Config, 'output'>) {
  return z.strictObject({
    model_id: z.string().default(''),
    output: z.enum(['mp4', 'frames']).default('mp4'),
    start_frame: wholeNumber(0, LAST_START_FRAME).default(0),
    jpeg_quality: wholeNumber(JPEG_QUALITY.min, JPEG_QUALITY.max).default(output.jpeg_quality),
    labels: labelsInText.optional(),
    priority: z.enum(RENDER_PRIORITIES).default('normal'),
    from: wholeNumber(0, LAST_FRAME).optional(),
    to: wholeNumber(1, LAST_FRAME).optional(),
    fps: wholeNumber(0, 1000).pipe(z.literal(25, 'renders have 25 frames a second')).default(25),
  });
}

/** Bytes of the body as the sender says; 0 where it does not. */
export function announcedBytes({ headers }: Pick<FastifyRequest, 'headers'>): number {
  return Number(headers['content-length']) || 0;
}

/** The whole form, for the description of the API: the reader takes file and fields apart as they come. */
export function renderFormSchema(config: Pick<Config, 'output'>) {
  return renderFieldsSchema(config).extend({ audio: z.file() });
}

/** Reads a multipart request: the file goes to the store as it comes in, the fields are checked at the end. */
export async function readRenderUpload(
  request: FastifyRequest,
  submission: RenderSubmission,
  config: Config,
): Promise<{ upload: StoredUpload; options: RenderOptions }> {
  if (!request.isMultipart()) {
    const got = request.headers['content-type'] ?? 'no content type';
    throw new FarmError('upload_missing', `Expected multipart/form-data, got ${got}`);
  }
  const fields = new Map<string, string>();
  let upload: StoredUpload | undefined;
  try {
    for await (const part of ofBody(request, () => request.parts())) {
      if (part.type === 'field') addField(fields, part);
      else upload = await storePart(part, request, submission);
    }
    if (!upload) throw new FarmError('upload_missing', 'The request has no file field "audio"');
    return { upload, options: parseFields(fields, config) };
  } catch (error) {
    if (upload) await submission.discardUpload(upload.renderId);
    // What is left of the body must be read, or the next request on this connection waits behind it for ever.
    request.raw.unpipe();
    request.raw.resume();
    throw error;
  }
}

/** What is read of the body. Whatever fails here, and not where it is used, is a fault of the body or of its sender. */
async function* ofBody<T>(request: FastifyRequest, read: () => AsyncIterable<T>): AsyncGenerator<T> {
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
      return new FarmError('request_invalid', 'The form has more than one file', { cause });
    case 'FST_FIELDS_LIMIT':
    case 'FST_PARTS_LIMIT':
      return new FarmError('request_invalid', `The form has more than ${FORM_LIMITS.fields} text fields`, { cause });
    default:
      return new FarmError('request_invalid', `The form cannot be read: ${cause.message}`, { cause });
  }
}

function addField(fields: Map<string, string>, { fieldname, value, valueTruncated }: MultipartValue): void {
  if (valueTruncated) {
    throw new FarmError('request_invalid', `${fieldname}: longer than ${FORM_LIMITS.fieldBytes} bytes`);
  }
  if (fields.has(fieldname)) throw new FarmError('request_invalid', `${fieldname}: given twice`);
  fields.set(fieldname, String(value));
}

async function storePart(
  part: Extract<Multipart, { type: 'file' }>,
  request: FastifyRequest,
  submission: RenderSubmission,
): Promise<StoredUpload> {
  if (part.fieldname !== 'audio') {
    part.file.resume();
    // A part that has a file name alone comes with no field name, whatever its type says.
    const field = (part.fieldname as string | undefined) ?? '';
    throw new FarmError('upload_missing', `The file must be in the field "audio", not "${field}"`);
  }
  if (part.filename.length > NAME_MAX) {
    part.file.resume();
    throw new FarmError('request_invalid', `audio: its file name is longer than ${NAME_MAX} characters`);
  }
  const content = Readable.from(
    ofBody(request, () => part.file),
    { objectMode: false },
  );
  return await submission.storeUpload(part.filename || 'audio', content);
}

function parseFields(fields: ReadonlyMap<string, string>, config: Config): RenderOptions {
  const schema = renderFieldsSchema(config);
  const parsed = schema.safeParse(Object.fromEntries(fields));
  if (!parsed.success) {
    const faults = parsed.error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((name) => unknownName('field', name, Object.keys(schema.shape)));
      }
      const name = issue.path.join('.');
      return [`${name}: ${shown(fields.get(String(issue.path[0])))}; ${issue.message}`];
    });
    throw new FarmError('request_invalid', `Wrong form: ${faults.join('; ')}`);
  }
  const { model_id, output, start_frame, jpeg_quality, labels, priority, from, to } = parsed.data;
  return {
    ...{ modelId: modelIdOf(config, model_id), output, startFrameIndex: start_frame, jpegQuality: jpeg_quality },
    ...withLabels(labels ?? {}),
    ...withPriority(priority),
    ...withRange(from, to),
  };
}
