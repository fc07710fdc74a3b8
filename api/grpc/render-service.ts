import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { z } from 'zod';
import { artifactKeys } from '../../shared/artifacts.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { isTerminal, type RenderRecord } from '../../shared/renders/record.ts';
import { viewRender } from '../render-view.ts';
import type { Services } from '../services.ts';
import type { Calls } from './calls.ts';
import { between, checkMessage, jpegQuality, modelId, oneOf } from './fields.ts';
import type {
  CancelRenderRequest,
  GetRenderRequest,
  Render,
  SubmitRenderRequest,
  WatchRenderRequest,
} from './messages/farm.ts';
import { toRender } from './render-message.ts';

const LOOK_EVERY_MS = 250;
/** As over HTTP: positions further on are the same pictures again. */
const LAST_START_FRAME = 1_000_000_000;
const NAME_MAX = 255;

const specSchema = (config: Config) =>
  z.object({
    model_id: modelId(config),
    output: oneOf(['MP4', 'FRAMES']),
    start_frame_idx: between(0, LAST_START_FRAME),
    jpeg_quality: jpegQuality(config),
    file_name: z.string().max(NAME_MAX),
    idempotency_key: z.string().max(NAME_MAX),
  });

type RenderServices = Pick<Services, 'config' | 'renders' | 'store' | 'artifacts'>;
type Upload = AsyncIterator<SubmitRenderRequest>;

/** The render calls of proto/farm.proto. */
export function renderHandlers(services: RenderServices, calls: Calls): UntypedServiceImplementation {
  const { renders, store, artifacts } = services;
  const show = async (record: RenderRecord) => toRender(await viewRender(record, store));
  return {
    SubmitRender: calls.clientStream(async (upload: Upload) => show(await submit(services, upload))),
    GetRender: calls.unary(async ({ render_id }: GetRenderRequest) => show(await renders.get(render_id))),
    WatchRender: calls.serverStream((request: WatchRenderRequest, signal) => watch(services, request, signal)),
    CancelRender: calls.unary(async ({ render_id }: CancelRenderRequest) => {
      // Not cancelOrRemove: a render that completes at this moment must keep its result.
      const record = await renders.get(render_id);
      if (await store.cancel(render_id)) await artifacts.remove(artifactKeys.folder(render_id));
      return await show(isTerminal(record.status) ? record : await renders.get(render_id));
    }),
  };
}

async function submit({ config, renders }: RenderServices, upload: Upload): Promise<RenderRecord> {
  // Refuse before the upload is read; submit counts again when the record is written.
  await renders.refuseIfFull();
  const first = await upload.next();
  if (first.done || first.value.part !== 'spec') {
    const got = first.done ? 'the end' : (first.value.part ?? 'an empty message');
    throw new FarmError('request_invalid', `First message of the upload: got ${got}, expected spec`);
  }
  const spec = checkMessage(specSchema(config), first.value.spec);
  const stored = await renders.storeUpload(spec.file_name || 'audio', Readable.from(audioOf(upload)));
  const options = {
    modelId: spec.model_id,
    output: spec.output === 'FRAMES' ? ('frames' as const) : ('mp4' as const),
    startFrameIndex: spec.start_frame_idx,
    jpegQuality: spec.jpeg_quality,
  };
  return await renders.submit(stored, options, spec.idempotency_key || undefined);
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

/** The state whenever it has changed; speed and time left, which change all the time, do not count. */
async function* watch(
  { renders, store }: RenderServices,
  { render_id: renderId, preview }: WatchRenderRequest,
  signal: AbortSignal,
): AsyncGenerator<Render> {
  let last: Render | undefined;
  for (;;) {
    const record = await renders.get(renderId);
    const picture = preview ? await store.preview(renderId) : undefined;
    const render = toRender(await viewRender(record, store), picture);
    const lasting = { ...render, frames_per_second: 0, eta_seconds: 0 };
    if (!isDeepStrictEqual(lasting, last)) yield render;
    last = lasting;
    if (isTerminal(record.status)) return;
    await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}
