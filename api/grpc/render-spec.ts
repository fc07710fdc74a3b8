import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { LAST_FRAME, LAST_START_FRAME, LONGEST_SILENCE_MS, NAME_MAX } from '../../shared/limits.ts';
import { MAX_URL_LENGTH } from '../../shared/net/outside-url.ts';
import { WEBHOOK_EVENTS } from '../../shared/renders/events.ts';
import { labelsSchema } from '../../shared/renders/record.ts';
import { eventNames } from '../event-names.ts';
import {
  backgroundMode,
  between,
  checkMessage,
  frameRate,
  jpegQuality,
  modelId,
  onceFor,
  oneOf,
  silenceGate,
} from '../message-fields.ts';
import { type RenderOptions, withLabels, withPriority, withRange, withSilence } from '../renders/request.ts';
import { withWebhook } from '../webhooks.ts';
import { OUTPUT_NAMES, toOutput, toPriority } from './render-message.ts';

const specSchema = onceFor((config: Config) =>
  z.object({
    model_id: modelId(config),
    output: oneOf(OUTPUT_NAMES).transform(toOutput),
    start_frame_idx: between(0, LAST_START_FRAME),
    jpeg_quality: jpegQuality(config),
    file_name: z.string().max(NAME_MAX),
    idempotency_key: z.string().max(NAME_MAX),
    labels: labelsSchema,
    priority: oneOf(['PRIORITY_NORMAL', 'PRIORITY_LOW', 'PRIORITY_HIGH']).transform(toPriority),
    from_frame: between(0, LAST_FRAME),
    to_frame: between(0, LAST_FRAME),
    audio_url: z.string().max(MAX_URL_LENGTH),
    webhook_url: z.string(),
    webhook_events: z.union([z.tuple([]).transform(() => undefined), eventNames(WEBHOOK_EVENTS)]),
    background_mode: backgroundMode,
    silence_gate: silenceGate,
    audio_lead_ms: between(0, LONGEST_SILENCE_MS),
    audio_tail_ms: between(0, LONGEST_SILENCE_MS),
    from_neutral: z.boolean(),
    fps: frameRate,
    no_cache: z.boolean(),
  }),
);

/** What a spec asks for; what was left out is undefined. */
export interface RenderWish {
  readonly options: RenderOptions;
  readonly fileName: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly audioUrl: string | undefined;
}

/** FarmError('request_invalid') that names every field that is wrong. */
export function readSpec(config: Config, message: unknown): RenderWish {
  const spec = checkMessage(specSchema(config), message);
  const options = {
    modelId: spec.model_id,
    output: spec.output,
    startFrameIndex: spec.start_frame_idx,
    jpegQuality: spec.jpeg_quality,
    ...withLabels(spec.labels),
    ...withPriority(spec.priority),
    ...withRange(spec.from_frame, spec.to_frame),
    ...withWebhook(spec.webhook_url || undefined, spec.webhook_events),
    ...(spec.background_mode === undefined ? {} : { backgroundMode: spec.background_mode }),
    ...(spec.fps === undefined ? {} : { frameRate: spec.fps }),
    ...(spec.silence_gate === undefined ? {} : { silenceGate: spec.silence_gate }),
    ...(spec.no_cache ? { cache: false as const } : {}),
    ...(spec.from_neutral ? { fromNeutral: true as const } : {}),
    ...withSilence(spec.audio_lead_ms, spec.audio_tail_ms),
  };
  return {
    options,
    fileName: spec.file_name || undefined,
    idempotencyKey: spec.idempotency_key || undefined,
    audioUrl: spec.audio_url || undefined,
  };
}
