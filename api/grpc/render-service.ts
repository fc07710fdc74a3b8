import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { LAST_FRAME, LONGEST_SILENCE_MS } from '../../shared/limits.ts';
import { between, checkMessage, frameRate, modelId } from '../message-fields.ts';
import { estimateRender } from '../renders/estimate.ts';
import { withRange } from '../renders/request.ts';
import type { Services } from '../services.ts';
import type { Calls } from './calls.ts';
import type {
  CancelRenderRequest,
  EstimateRenderRequest,
  GetRenderRequest,
  ListRendersRequest,
  RetryRenderRequest,
  SubmitRenderRequest,
  WatchRenderRequest,
} from './messages/farm.ts';
import { toListQuery } from './render-list-message.ts';
import { toBatch, toEstimate, toPage, toRender } from './render-message.ts';
import { submitMany, submitOne } from './render-upload.ts';

type RenderServices = Pick<Services, 'config' | 'redis' | 'models' | 'submission' | 'renders' | 'retry'>;
type Upload = AsyncIterator<SubmitRenderRequest>;

const estimateSchema = (config: Config) =>
  z.object({
    model_id: modelId(config),
    audio_seconds: z.number().positive({ error: ({ input }) => `got ${input}, expected more than 0` }),
    from_frame: between(0, LAST_FRAME),
    to_frame: between(0, LAST_FRAME),
    audio_lead_ms: between(0, LONGEST_SILENCE_MS),
    audio_tail_ms: between(0, LONGEST_SILENCE_MS),
    fps: frameRate,
  });

/** The render calls of proto/farm.proto. */
export function renderHandlers(services: RenderServices, calls: Calls): UntypedServiceImplementation {
  const { config, renders, retry } = services;
  return {
    SubmitRender: calls.clientStream(async (messages: Upload, signal, caller) =>
      toRender(await submitOne(services, { messages, signal, caller })),
    ),
    SubmitBatch: calls.clientStream(async (messages: Upload, signal, caller) =>
      toBatch(await submitMany(services, { messages, signal, caller })),
    ),
    EstimateRender: calls.unary(async (request: EstimateRenderRequest) => {
      const asked = checkMessage(estimateSchema(config), request);
      const planned = {
        modelId: asked.model_id,
        audioSeconds: asked.audio_seconds,
        silenceMs: asked.audio_lead_ms + asked.audio_tail_ms,
        ...withRange(asked.from_frame, asked.to_frame),
        frameRate: asked.fps,
      };
      return toEstimate(await estimateRender(services, planned));
    }),
    ListRenders: calls.unary(async (request: ListRendersRequest, _signal, caller) =>
      toPage(await renders.list(toListQuery(request), caller)),
    ),
    GetRender: calls.unary(async ({ render_id }: GetRenderRequest, _signal, caller) =>
      toRender(await renders.get(render_id, caller)),
    ),
    WatchRender: calls.serverStream(async function* ({ render_id, preview }: WatchRenderRequest, signal, caller) {
      for await (const state of renders.watch(render_id, { preview, caller }, signal))
        yield toRender(state.view, state.preview?.jpeg);
    }),
    CancelRender: calls.unary(async ({ render_id }: CancelRenderRequest, _signal, caller) =>
      toRender(await renders.cancel(render_id, caller)),
    ),
    RetryRender: calls.unary(async ({ render_id }: RetryRenderRequest, _signal, caller) =>
      toRender(await retry.retry(render_id, caller)),
    ),
  };
}
