/**
 * The messages of proto/*.proto as proto-loader hands them over and takes them: field names as in the files, enums by
 * name, every field of a received message set. Their meaning stands in the .proto files.
 */

export interface CompositeBatchRequest {
  readonly model_id: string;
  readonly visual_frames: Buffer;
  readonly raw_audio: Buffer;
  readonly audio_features: Buffer;
  readonly batch_size: number;
  readonly start_frame_idx: number;
  readonly sample_rate: number;
}

export interface CompositeBatchResponse {
  readonly composited_frames: readonly Buffer[];
  readonly inference_time_ms: number;
  readonly composite_time_ms: number;
  readonly total_time_ms: number;
  readonly audio_processing_ms: number;
  readonly model_loaded: boolean;
  readonly model_load_time_ms: number;
  readonly success: boolean;
  readonly error: string;
  readonly gpu_id: number;
}

export interface ModelInfo {
  readonly model_id: string;
  readonly loaded: boolean;
  readonly gpu_id: number;
  readonly memory_mb: number;
  readonly request_count: number;
  readonly avg_inference_ms: number;
}

export interface ModelStats extends ModelInfo {
  readonly total_inference_ms: number;
  readonly last_used_timestamp: number;
}

export interface LoadModelRequest {
  readonly model_id: string;
  readonly preferred_gpu: number;
}

export interface LoadModelResponse {
  readonly success: boolean;
  readonly error: string;
  readonly gpu_id: number;
  readonly load_time_ms: number;
}

export interface ModelRequest {
  readonly model_id: string;
}

export interface UnloadModelResponse {
  readonly success: boolean;
  readonly error: string;
}

export interface HealthResponse {
  readonly healthy: boolean;
  readonly loaded_models: number;
  readonly max_models: number;
  readonly gpu_ids: readonly number[];
  readonly gpu_memory_used_gb: readonly number[];
}

export type SampleFormat = 'F32LE' | 'S16LE';

export interface Open {
  readonly model_id: string;
  readonly sample_rate: number;
  readonly sample_format: SampleFormat;
  readonly start_frame_idx: number;
  readonly jpeg_quality: number;
  readonly output: 'JPEG' | 'RAW';
  readonly latency: 'EXACT' | 'LOW';
  readonly fill_gaps_after_ms: number;
  readonly catch_up: 'KEEP' | 'SKIP';
}

/** `request` names the field that is set; undefined for an empty message. */
export interface StreamRequest {
  readonly request?: 'open' | 'audio';
  readonly open?: Open | null;
  readonly audio?: Buffer;
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

export type StreamResponse =
  | { readonly opened: Opened }
  | { readonly frame: Frame }
  | { readonly ended: { readonly frame_count: number; readonly skipped_frames: number } };

export interface RenderSpec {
  readonly model_id: string;
  readonly output: 'MP4' | 'FRAMES';
  readonly start_frame_idx: number;
  readonly jpeg_quality: number;
  readonly file_name: string;
  readonly idempotency_key: string;
}

/** `part` names the field that is set; undefined for an empty message. */
export interface SubmitRenderRequest {
  readonly part?: 'spec' | 'audio';
  readonly spec?: RenderSpec | null;
  readonly audio?: Buffer;
}

export interface RenderIdRequest {
  readonly render_id: string;
}

export interface WatchRenderRequest extends RenderIdRequest {
  readonly preview: boolean;
}

export interface Render {
  readonly render_id: string;
  readonly status: string;
  readonly model_id: string;
  readonly output: 'MP4' | 'FRAMES';
  readonly file_name: string;
  readonly created_at: string;
  readonly finished_at: string;
  readonly audio_seconds: number;
  readonly frames_done: number;
  readonly frames_total: number;
  readonly frames_per_second: number;
  readonly eta_seconds: number;
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string } | null;
  readonly video_path: string;
  readonly frames_path: string;
  readonly preview_jpeg: Buffer;
}
