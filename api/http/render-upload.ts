import type { Multipart } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { JPEG_QUALITY, LAST_START_FRAME } from '../../shared/limits.ts';
import type { RenderOptions, RenderService, StoredUpload } from '../renders.ts';
import { wholeNumber } from './whole-number.ts';

/** The text fields beside the audio file. All may be left out. */
export function renderFieldsSchema(config: Config) {
  const [firstModel] = config.models.keys();
  return z.strictObject({
    model_id: z.string().default(config.models.size === 1 && firstModel ? firstModel : ''),
    output: z.enum(['mp4', 'frames']).default('mp4'),
    start_frame: wholeNumber(0, LAST_START_FRAME).default(0),
    jpeg_quality: wholeNumber(JPEG_QUALITY.min, JPEG_QUALITY.max).default(config.output.jpeg_quality),
    fps: z.coerce.number().pipe(z.literal(25, 'renders have 25 frames a second')).default(25),
  });
}

/** Reads a multipart request: the file goes to the store as it comes in, the fields are checked at the end. */
export async function readRenderUpload(
  request: FastifyRequest,
  renders: RenderService,
  config: Config,
): Promise<{ upload: StoredUpload; options: RenderOptions }> {
  if (!request.isMultipart()) {
    const got = request.headers['content-type'] ?? 'no content type';
    throw new FarmError('upload_missing', `Expected multipart/form-data, got ${got}`);
  }
  const fields: Record<string, string> = {};
  let upload: StoredUpload | undefined;
  try {
    for await (const part of request.parts()) {
      if (part.type === 'field') fields[part.fieldname] = String(part.value);
      else upload = await storePart(part, renders);
    }
    if (!upload) throw new FarmError('upload_missing', 'The request has no file field "audio"');
    return { upload, options: parseFields(fields, config) };
  } catch (error) {
    if (upload) await renders.discardUpload(upload.renderId);
    // What is left of the body must be read, or the next request on this connection waits behind it for ever.
    request.raw.unpipe();
    request.raw.resume();
    throw error;
  }
}

async function storePart(part: Extract<Multipart, { type: 'file' }>, renders: RenderService): Promise<StoredUpload> {
  if (part.fieldname !== 'audio') {
    part.file.resume();
    throw new FarmError('upload_missing', `The file must be in the field "audio", not "${part.fieldname}"`);
  }
  return await renders.storeUpload(part.filename || 'audio', part.file);
}

function parseFields(fields: Record<string, string>, config: Config): RenderOptions {
  const parsed = renderFieldsSchema(config).safeParse(fields);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => {
      const name = issue.path.join('.');
      return name ? `${name}: ${issue.message} (got "${fields[name] ?? ''}")` : issue.message;
    });
    throw new FarmError('request_invalid', faults.join('; '));
  }
  const { model_id, output, start_frame, jpeg_quality } = parsed.data;
  return { modelId: model_id, output, startFrameIndex: start_frame, jpegQuality: jpeg_quality };
}
