import { z } from 'zod';
import { BACKGROUND_MODES, PING_PONG } from '../background-mode.ts';
import { AUDIO_KINDS } from '../sound/audio-kinds.ts';
import { FRAME_RATES } from '../sound/frame-rate.ts';
import { HUBERT_CHUNKS } from '../sound/hubert-chunks.ts';
import { hostTag } from './host-section.ts';
import { orDefault, section } from './value-forms.ts';

const dbfs = z.number().min(-120).max(0);
const COLOUR = /^#[0-9a-f]{6}$/i;

/** One entry of `models:`. */
export const modelSchema = section({
  model_path: z.string().min(1),
  background_dir: z.string().default(''),
  source_video: z.string().default(''),
  crop_rects_path: z.string().default(''),
  crops_video_path: z.string().default(''),
  rois_video_path: z.string().default(''),
  crops_frames_dir: z.string().default(''),
  rois_frames_dir: z.string().default(''),
  num_frames: z.int().nonnegative().default(0),
  preload_backgrounds: z.boolean().default(false),
  preload_model: z.boolean().default(false),
  /** The same under its name in the inference server's file. */
  preload: z.boolean().default(false),
  preferred_gpu: z.int().min(-1).default(-1),
  /** New: tags that a host must have, all of them, to render with it. */
  needs: z.array(hostTag).default([]),
  /** New: an encoder for this model alone, instead of onnx.audio_encoder_path. */
  audio_encoder_path: z.string().default(''),
  /** New: which speech features its network hears, where the shapes of its file leave that open. */
  audio_features: orDefault(z.enum(AUDIO_KINDS).optional(), undefined),
  /** New: how the sound is cut for a network that hears HuBERT: `short` for live streams. */
  hubert_chunks: orDefault(z.enum(HUBERT_CHUNKS), 'long'),
  /** New: one mask a picture, of the same number; what is pure red or white in it stays the picture's. */
  masks_dir: z.string().default(''),
  /** New: whether the mouth fades in from the edge of its rect. */
  blend: orDefault(z.enum(['none', 'feather']), 'none'),
  /** New: what is behind pictures that have alpha: a colour, `#rrggbb`, or a picture. */
  background: z
    .string()
    .default('')
    .refine((value) => !value.startsWith('#') || COLOUR.test(value), 'expected #rrggbb, or the path of a picture'),
  /** New: how videos walk over the pictures, unless a request says otherwise. */
  background_mode: orDefault(z.enum(BACKGROUND_MODES), PING_PONG),
  /** New: of its videos and streams, unless a request says otherwise; 0: those that it was trained with. */
  frames_per_second: orDefault(z.literal([0, ...FRAME_RATES]), 0),
  /** New: whether the mouth is closed and still in silence, unless a request says otherwise; docs/silence.md. */
  silence_gate: z.boolean().default(false),
  /** Level in dB of full scale from which on a sound is a voice. */
  silence_open_dbfs: dbfs.default(-45),
  /** Level below which it is one no more. */
  silence_close_dbfs: dbfs.default(-50),
  /** How long after a voice the mouth is the network's alone. */
  silence_hold_ms: z.int().nonnegative().max(2000).default(160),
  /** How long before a voice the network's mouth fades in. */
  silence_lead_ms: z.int().nonnegative().max(200).default(160),
  /** New: pictures of the avatar while it listens, shown over and over in long silences, or a video of them. */
  idle_dir: z.string().default(''),
  idle_video: z.string().default(''),
  /** How long a silence lasts until they are shown. */
  silence_idle_after_ms: z.int().nonnegative().max(60_000).default(1000),
});

export type ModelEntry = z.output<typeof modelSchema>;
