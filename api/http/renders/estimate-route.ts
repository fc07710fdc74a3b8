import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LAST_FRAME, LONGEST_SILENCE_MS } from '../../../shared/limits.ts';
import { FRAME_RATE_WORDS, FRAME_RATES } from '../../../shared/sound/frame-rate.ts';
import { estimateSchema } from '../../../shared/views/estimate-view.ts';
import { modelIdOf } from '../../model-id.ts';
import { estimateRender } from '../../renders/estimate.ts';
import { withRange } from '../../renders/request.ts';
import type { Services } from '../../services.ts';
import { BODY_REFUSALS, failures } from '../openapi.ts';

const bodySchema = z.strictObject({
  model_id: z.string().default(''),
  audio_seconds: z.number().positive().describe('Length of the sound'),
  from: z.int().min(0).max(LAST_FRAME).optional(),
  to: z.int().min(1).max(LAST_FRAME).optional(),
  audio_lead_ms: z.int().min(0).max(LONGEST_SILENCE_MS).default(0).describe('Silence before the sound'),
  audio_tail_ms: z.int().min(0).max(LONGEST_SILENCE_MS).default(0).describe('Silence after the sound'),
  fps: z.literal(FRAME_RATES, FRAME_RATE_WORDS).optional().describe('Frames a second'),
});

/** POST /v1/renders/estimate: what a render would cost. */
export const estimateRoute: FastifyPluginAsyncZod<Services> = async (app, services) => {
  const { config } = services;
  const schema = {
    ...{ operationId: 'estimateRender', tags: ['renders'], summary: 'What a render would cost, and how long it waits' },
    body: bodySchema,
    response: {
      200: estimateSchema,
      ...failures('model_unknown', 'model_unusable', 'audio_too_long', ...BODY_REFUSALS),
    },
  };
  app.post('/v1/renders/estimate', { schema, config: { access: 'render' } }, async ({ body }) => {
    const { model_id, audio_seconds, from, to, audio_lead_ms, audio_tail_ms, fps } = body;
    return await estimateRender(services, {
      modelId: modelIdOf(config, model_id),
      audioSeconds: audio_seconds,
      silenceMs: audio_lead_ms + audio_tail_ms,
      ...withRange(from, to),
      frameRate: fps,
    });
  });
};
