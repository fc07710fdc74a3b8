// Written by scripts/generate-grpc-messages.ts from proto/farm.proto, where the meaning of the fields stands.
// Field names as in the file, enums by name, 64-bit numbers as numbers; a received message has every field set.

export type SampleFormat = 'F32LE' | 'S16LE';

export type OutputFormat = 'JPEG' | 'RAW';

export type LatencyMode = 'EXACT' | 'LOW';

export type CatchUp = 'KEEP' | 'SKIP';

export type StreamRequest =
  | { readonly request?: 'open'; readonly open: Open }
  | { readonly request?: 'audio'; readonly audio: Buffer }
  | { readonly request?: 'interrupt'; readonly interrupt: Interrupt };

export type Interrupt = Record<string, never>;

export interface Open {
  readonly model_id: string;
  readonly sample_rate: number;
  readonly sample_format: SampleFormat;
  readonly start_frame_idx: number;
  readonly jpeg_quality: number;
  readonly output: OutputFormat;
  readonly latency: LatencyMode;
  readonly fill_gaps_after_ms: number;
  readonly catch_up: CatchUp;
  readonly background_mode: BackgroundMode;
  readonly fps: number;
  readonly silence_gate: SilenceGate;
}

export type StreamResponse =
  | { readonly response?: 'opened'; readonly opened: Opened }
  | { readonly response?: 'frame'; readonly frame: Frame }
  | { readonly response?: 'ended'; readonly ended: Ended }
  | { readonly response?: 'interrupted'; readonly interrupted: Interrupted };

export interface Interrupted {
  readonly frame_index: number;
}

export interface Opened {
  readonly algorithmic_latency_ms: number;
  readonly sample_rate: number;
  readonly frames_per_second: number;
}

export interface Frame {
  readonly frame_index: number;
  readonly presentation_time_ms: number;
  readonly data: Buffer;
  readonly gpu_id: number;
  readonly latency_ms: number;
  readonly skipped_frames: number;
}

export interface Ended {
  readonly frame_count: number;
  readonly skipped_frames: number;
}

export type SubmitRenderRequest =
  | { readonly part?: 'spec'; readonly spec: RenderSpec }
  | { readonly part?: 'audio'; readonly audio: Buffer };

export type RenderOutput = 'MP4' | 'FRAMES' | 'WEBM' | 'PNG_FRAMES';

export type BackgroundMode = 'BACKGROUND_OF_MODEL' | 'PING_PONG' | 'LOOP' | 'HOLD';

export type SilenceGate = 'GATE_OF_MODEL' | 'GATE_ON' | 'GATE_OFF';

export type RenderPriority = 'PRIORITY_NORMAL' | 'PRIORITY_LOW' | 'PRIORITY_HIGH';

export interface RenderSpec {
  readonly model_id: string;
  readonly output: RenderOutput;
  readonly start_frame_idx: number;
  readonly jpeg_quality: number;
  readonly file_name: string;
  readonly idempotency_key: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: RenderPriority;
  readonly from_frame: number;
  readonly to_frame: number;
  readonly audio_url: string;
  readonly webhook_url: string;
  readonly webhook_events: readonly string[];
  readonly background_mode: BackgroundMode;
  readonly audio_lead_ms: number;
  readonly audio_tail_ms: number;
  readonly from_neutral: boolean;
  readonly fps: number;
  readonly silence_gate: SilenceGate;
  readonly no_cache: boolean;
}

export interface RenderBatch {
  readonly taken: number;
  readonly refused: number;
  readonly items: readonly RenderBatchItem[];
}

export interface RenderBatchItem {
  readonly index: number;
  readonly file_name: string;
  readonly render: Render | null;
  readonly error: RenderError | null;
}

export interface EstimateRenderRequest {
  readonly model_id: string;
  readonly audio_seconds: number;
  readonly from_frame: number;
  readonly to_frame: number;
  readonly audio_lead_ms: number;
  readonly audio_tail_ms: number;
  readonly fps: number;
}

export interface RenderEstimate {
  readonly model_id: string;
  readonly frames: number;
  readonly gpus: number;
  readonly frames_per_second: number;
  readonly gpu_seconds: number;
  readonly queue_seconds: number;
  readonly finish_seconds: number;
}

export interface ListRendersRequest {
  readonly page_size: number;
  readonly before: string;
  readonly status: string;
  readonly model_id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly created_from: string;
  readonly created_to: string;
  readonly search: string;
}

export interface RenderPage {
  readonly renders: readonly Render[];
  readonly next: string;
}

export interface GetRenderRequest {
  readonly render_id: string;
}

export interface WatchRenderRequest {
  readonly render_id: string;
  readonly preview: boolean;
}

export interface RetryRenderRequest {
  readonly render_id: string;
}

export interface CancelRenderRequest {
  readonly render_id: string;
}

export type RenderStatus = 'QUEUED' | 'PREPARING' | 'RENDERING' | 'STITCHING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

export interface Render {
  readonly render_id: string;
  readonly status: RenderStatus;
  readonly model_id: string;
  readonly output: RenderOutput;
  readonly file_name: string;
  readonly created_at: string;
  readonly finished_at: string;
  readonly audio_seconds: number;
  readonly frames_done: number;
  readonly frames_total: number;
  readonly frames_per_second: number;
  readonly eta_seconds: number;
  readonly error: RenderError | null;
  readonly video_path: string;
  readonly frames_path: string;
  readonly preview_jpeg: Buffer;
  readonly waiting: RenderWaiting | null;
  readonly owner: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: RenderPriority;
  readonly from_frame: number;
  readonly to_frame: number;
  readonly fps: number;
}

export interface RenderWaiting {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly since: string;
  readonly next_try_at: string;
}

export interface RenderError {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}
