import { z } from 'zod';
import { BACKGROUND_MODES } from '../../../shared/background-mode.ts';
import type { Config } from '../../../shared/config/load.ts';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { shown, unknownName } from '../../../shared/errors/faulty-input.ts';
import { JPEG_QUALITY, LAST_FRAME, LAST_START_FRAME, LONGEST_SILENCE_MS } from '../../../shared/limits.ts';
import { MAX_URL_LENGTH } from '../../../shared/net/outside-url.ts';
import { WEBHOOK_EVENTS, type WebhookEventName } from '../../../shared/renders/events.ts';
import { SYNC_MODES, type SyncMode } from '../../../shared/renders/footage.ts';
import { RENDER_ID } from '../../../shared/renders/id.ts';
import { OUTPUTS } from '../../../shared/renders/outputs.ts';
import { labelsSchema, RENDER_PRIORITIES } from '../../../shared/renders/record.ts';
import { FRAME_RATE_WORDS, FRAME_RATES } from '../../../shared/sound/frame-rate.ts';
import { eventNames, eventNamesInText } from '../../event-names.ts';
import { onceFor } from '../../message-fields.ts';
import { modelIdOf } from '../../model-id.ts';
import { type RenderOptions, withLabels, withPriority, withRange, withSilence } from '../../renders/request.ts';
import { withWebhook } from '../../webhooks.ts';
import { wholeNumber } from '../whole-number.ts';

/** What a request for a render holds beside its sound, as a form or as JSON has it. */

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

const flagInText = z.enum(['true', 'false']).transform((text) => text === 'true');

/** How numbers, flags and lists are written. */
interface Notation {
  readonly flag: z.ZodType<boolean>;
  readonly number: (min: number, max: number) => z.ZodType<number>;
  readonly labels: z.ZodType<Record<string, string>>;
  readonly events: z.ZodType<WebhookEventName[]>;
}
const IN_FORMS: Notation = {
  flag: flagInText,
  number: wholeNumber,
  labels: labelsInText,
  events: eventNamesInText(WEBHOOK_EVENTS),
};
const IN_JSON: Notation = {
  flag: z.boolean(),
  number: (min, max) => z.int().min(min).max(max),
  labels: labelsSchema,
  events: eventNames(WEBHOOK_EVENTS),
};

function fieldsSchema({ output }: Pick<Config, 'output'>, { flag, number, labels, events }: Notation) {
  return z.strictObject({
    upload_id: z.string().regex(RENDER_ID, 'not the id of an upload').optional().describe('Of an upload in parts'),
    audio_url: z.string().max(MAX_URL_LENGTH).optional().describe('Where the sound is, instead of a file'),
    model_id: z.string().default(''),
    output: z.enum(OUTPUTS).default('mp4'),
    start_frame: number(0, LAST_START_FRAME).default(0),
    jpeg_quality: number(JPEG_QUALITY.min, JPEG_QUALITY.max).default(output.jpeg_quality),
    labels: labels.optional(),
    priority: z.enum(RENDER_PRIORITIES).default('normal'),
    webhook_url: z.string().min(1).optional(),
    webhook_events: events.optional(),
    from: number(0, LAST_FRAME).optional(),
    to: number(1, LAST_FRAME).optional(),
    background_mode: z.enum(BACKGROUND_MODES).optional().describe('How the pictures are walked over'),
    from_neutral: flag.default(false).describe('Whether it ends with the picture that it begins with'),
    silence_gate: flag.optional().describe('Whether the mouth is closed and still in silence'),
    cache: flag.default(true).describe('Whether kept segments of earlier renders are used, and its own are kept'),
    audio_lead_ms: number(0, LONGEST_SILENCE_MS).default(0).describe('Silence before the sound'),
    audio_tail_ms: number(0, LONGEST_SILENCE_MS).default(0).describe('Silence after the sound'),
    sync_mode: z.enum(SYNC_MODES).optional().describe('Of a video: what happens where it is shorter or longer'),
    fps: number(0, 1000).pipe(z.literal(FRAME_RATES, FRAME_RATE_WORDS)).optional().describe('Frames a second'),
  });
}

/** The text fields of a form. All may be left out. */
export const formFieldsSchema = onceFor((config: Pick<Config, 'output'>) => fieldsSchema(config, IN_FORMS));
/** The text fields that go with a file. */
export const fileFieldsSchema = onceFor((config: Pick<Config, 'output'>) =>
  formFieldsSchema(config).omit({ audio_url: true, upload_id: true, sync_mode: true }),
);
/** The same in JSON. */
export const jsonFieldsSchema = onceFor((config: Pick<Config, 'output'>) =>
  fieldsSchema(config, IN_JSON).omit({ sync_mode: true }),
);

/** What a request wants, and where its sound is if that does not come with it. */
export interface RenderWish {
  readonly options: RenderOptions;
  readonly audioUrl: string | undefined;
  /** Of an upload in parts. */
  readonly uploadId: string | undefined;
}

/** FarmError('request_invalid') that names every field that is wrong. @param what "form" or "body". */
export function readFields(
  schema: ReturnType<typeof fieldsSchema | typeof jsonFieldsSchema | typeof fileFieldsSchema>,
  fields: Readonly<Record<string, unknown>>,
  what: string,
  config: Config,
): RenderWish {
  const parsed = schema.safeParse(fields);
  if (!parsed.success) {
    const faults = parsed.error.issues.flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return issue.keys.map((name) => unknownName('field', name, Object.keys(schema.shape)));
      }
      const name = issue.path.join('.');
      return [`${name}: ${shown(fields[String(issue.path[0])])}; ${issue.message}`];
    });
    throw new FarmError('request_invalid', `Wrong ${what}: ${faults.join('; ')}`);
  }
  const audioUrl = 'audio_url' in parsed.data ? parsed.data.audio_url : undefined;
  const uploadId = 'upload_id' in parsed.data ? parsed.data.upload_id : undefined;
  const { model_id, output, start_frame, jpeg_quality, labels, priority, from, to } = parsed.data;
  const { background_mode, from_neutral, silence_gate, audio_lead_ms, audio_tail_ms, fps } = parsed.data;
  const options = {
    ...{ modelId: modelIdOf(config, model_id), output, startFrameIndex: start_frame, jpegQuality: jpeg_quality },
    ...withLabels(labels ?? {}),
    ...withPriority(priority),
    ...withWebhook(parsed.data.webhook_url, parsed.data.webhook_events),
    ...withRange(from, to),
    ...(background_mode === undefined ? {} : { backgroundMode: background_mode }),
    ...(fps === undefined ? {} : { frameRate: fps }),
    ...(silence_gate === undefined ? {} : { silenceGate: silence_gate }),
    ...(parsed.data.cache ? {} : { cache: false as const }),
    ...(from_neutral ? { fromNeutral: true as const } : {}),
    ...withSilence(audio_lead_ms, audio_tail_ms),
    ...('sync_mode' in parsed.data && parsed.data.sync_mode ? { syncMode: parsed.data.sync_mode as SyncMode } : {}),
  };
  return { options, audioUrl: audioUrl as string | undefined, uploadId: uploadId as string | undefined };
}
