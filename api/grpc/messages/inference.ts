// Written by scripts/generate-grpc-messages.ts from proto/inference.proto, where the meaning of the fields stands.
// Field names as in the file, enums by name, 64-bit numbers as numbers; a received message has every field set.

export interface InferBatchRequest {
  readonly model_id: string;
  readonly visual_frames: Buffer;
  readonly raw_audio: Buffer;
  readonly audio_features: Buffer;
  readonly batch_size: number;
  readonly sample_rate: number;
}

export interface InferBatchResponse {
  readonly outputs: readonly RawMouthRegion[];
  readonly inference_time_ms: number;
  readonly audio_processing_ms: number;
  readonly success: boolean;
  readonly error: string;
  readonly worker_id: number;
  readonly gpu_id: number;
}

export interface RawMouthRegion {
  readonly data: Buffer;
}

export type ListModelsRequest = Record<string, never>;

export interface ListModelsResponse {
  readonly models: readonly ModelInfo[];
}

export interface LoadModelRequest {
  readonly model_id: string;
  readonly force_reload: boolean;
}

export interface LoadModelResponse {
  readonly success: boolean;
  readonly error: string;
  readonly load_time_ms: number;
  readonly stats: ModelStats | null;
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
  readonly models: readonly ModelInfo[];
  readonly max_models: number;
  readonly loaded_models: number;
  readonly total_memory_bytes: number;
  readonly max_memory_bytes: number;
}

export type HealthRequest = Record<string, never>;

export interface HealthResponse {
  readonly healthy: boolean;
  readonly cuda_available: boolean;
  readonly loaded_models: number;
  readonly max_models: number;
  readonly gpu_count: number;
  readonly version: string;
  readonly gpus: readonly GPUInfo[];
}

export interface GPUInfo {
  readonly gpu_id: number;
  readonly name: string;
  readonly total_memory_bytes: number;
  readonly used_memory_bytes: number;
  readonly loaded_models: number;
}

export interface ModelInfo {
  readonly model_id: string;
  readonly loaded: boolean;
  readonly model_path: string;
  readonly stats: ModelStats | null;
  readonly gpu_id: number;
}

export interface ModelStats {
  readonly usage_count: number;
  readonly last_used_unix_ms: number;
  readonly total_inference_time_ms: number;
  readonly memory_bytes: number;
  readonly loaded_unix_ms: number;
}
