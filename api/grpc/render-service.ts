import { Readable } from 'node:stream';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { LAST_FRAME, LAST_START_FRAME, NAME_MAX } from '../../shared/limits.ts';
import { labelsSchema } from '../../shared/renders/record.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { Caller } from '../access/caller.ts';
import { between, checkMessage, jpegQuality, modelId, oneOf } from '../message-fields.ts';
import { withLabels, withPriority, withRange } from '../renders/submission.ts';
import type { Services } from '../services.ts';
import type { Calls } from './calls.ts';
import type {
  CancelRenderRequest,
  GetRenderRequest,
  ListRendersRequest,
  RetryRenderRequest,
  SubmitRenderRequest,
  WatchRenderRequest,
} from './messages/farm.ts';
import { toListQuery } from './render-list-message.ts';
import { toPage, toPriority, toRender } from './render-message.ts';

const specSchema = (config: Config) =>
  z.object({
    model_id: modelId(config),
    output: oneOf(['MP4', 'FRAMES']),
    start_frame_idx: between(0, LAST_START_FRAME),
    jpeg_quality: jpegQuality(config),
    file_name: z.string().max(NAME_MAX),
    idempotency_key: z.string().max(NAME_MAX),
    labels: labelsSchema,
    priority: oneOf(['PRIORITY_NORMAL', 'PRIORITY_LOW', 'PRIORITY_HIGH']).transform(toPriority),
    from_frame: between(0, LAST_FRAME),
    to_frame: between(0, LAST_FRAME),
  });

type RenderServices = Pick<Services, 'config' | 'submission' | 'renders' | 'retry'>;
type Upload = AsyncIterator<SubmitRenderRequest>;

/** The render calls of proto/farm.proto. */
export function renderHandlers(
  { config, submission, renders, retry }: RenderServices,
  calls: Calls,
): UntypedServiceImplementation {
  return {
    SubmitRender: calls.clientStream(async (upload: Upload, _signal, caller) =>
      toRender(await submit({ config, submission }, upload, caller)),
    ),
    ListRenders: calls.unary(async (request: ListRendersRequest, _signal, caller) =>
      toPage(await renders.list(toListQuery(request), caller)),
    ),
    GetRender: calls.unary(async ({ render_id }: GetRenderRequest, _signal, caller) =>
      toRender(await renders.get(render_id, caller)),
    ),
    WatchRender: calls.serverStream(async function* ({ render_id, preview }: WatchRenderRequest, signal, caller) {
      for await (const state of renders.watch(render_id, { preview, caller }, signal))
        yield toRender(state.view, state.preview);
    }),
    CancelRender: calls.unary(async ({ render_id }: CancelRenderRequest, _signal, caller) =>
      toRender(await renders.cancel(render_id, caller)),
    ),
    RetryRender: calls.unary(async ({ render_id }: RetryRenderRequest, _signal, caller) =>
      toRender(await retry.retry(render_id, caller)),
    ),
  };
}

async function submit(
  { config, submission }: Pick<Services, 'config' | 'submission'>,
  upload: Upload,
  caller: Caller,
): Promise<RenderView> {
  const first = await upload.next();
  if (first.done || first.value.part !== 'spec') {
    const got = first.done ? 'the end' : (first.value.part ?? 'an empty message');
    throw new FarmError('request_invalid', `First message of the upload: got ${got}, expected spec`);
  }
  const spec = checkMessage(specSchema(config), first.value.spec);
  const submitter = { caller, idempotencyKey: spec.idempotency_key || undefined };
  // Refuse before the upload is read; submit counts again when the record is written.
  await submission.refuseIfFull(submitter);
  const stored = await submission.storeUpload(spec.file_name || 'audio', Readable.from(audioOf(upload)));
  const options = {
    modelId: spec.model_id,
    output: spec.output === 'FRAMES' ? ('frames' as const) : ('mp4' as const),
    startFrameIndex: spec.start_frame_idx,
    jpegQuality: spec.jpeg_quality,
    ...withLabels(spec.labels),
    ...withPriority(spec.priority),
    ...withRange(spec.from_frame, spec.to_frame),
  };
  return await submission.submit(stored, options, submitter);
}

async function* audioOf(upload: Upload): AsyncGenerator<Buffer> {
  for (let item = await upload.next(); !item.done; item = await upload.next()) {
    const message = item.value;
    if (message.part !== 'audio') {
      const got = message.part ?? 'an empty message';
      throw new FarmError('request_invalid', `Later message of the upload: got ${got}, expected audio`);
    }
    if (message.audio.length > 0) yield message.audio;
  }
}
