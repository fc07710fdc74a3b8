// Written by scripts/generate-grpc-messages.ts from proto/monolithic.proto, where the meaning of the fields stands.
// Field names as in the file, enums by name, 64-bit numbers as numbers; a received message has every field set.

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

export type ListModelsRequest = Record<string, never>;

export interface ListModelsResponse {
  readonly models: readonly ModelInfo[];
}

export interface ModelInfo {
  readonly model_id: string;
  readonly loaded: boolean;
  readonly gpu_id: number;
  readonly memory_mb: number;
  readonly request_count: number;
  readonly avg_inference_ms: number;
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

export interface UnloadModelRequest {
  readonly model_id: string;
}

export interface UnloadModelResponse {
  readonly success: boolean;
  readonly error: string;
}

export interface GetModelStatsRequest {
  readonly model_id: string;
}

export interface GetModelStatsResponse {
  readonly models: readonly ModelStats[];
}

export interface ModelStats {
  readonly model_id: string;
  readonly loaded: boolean;
  readonly gpu_id: number;
  readonly memory_mb: number;
  readonly request_count: number;
  readonly total_inference_ms: number;
  readonly avg_inference_ms: number;
  readonly last_used_timestamp: number;
}

export type HealthRequest = Record<string, never>;

export interface HealthResponse {
  readonly healthy: boolean;
  readonly loaded_models: number;
  readonly max_models: number;
  readonly gpu_ids: readonly number[];
  readonly gpu_memory_used_gb: readonly number[];
}
