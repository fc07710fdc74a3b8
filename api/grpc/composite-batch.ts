import type { Services } from '../services.ts';
import { type ReceivedBatchRequest, toInferRequest } from './composite-request.ts';
import type { CompositeBatchResponse } from './messages/monolithic.ts';
import { NO_GPU } from './model-list.ts';
import { refusalText } from './status.ts';

/**
 * InferBatchComposite, of the one-process server and of the compositing server alike. A refusal is an answer with
 * success = false; FarmError for what is told by status.
 */
export async function compositeBatch(
  { live, config }: Pick<Services, 'live' | 'config'>,
  request: ReceivedBatchRequest,
  signal: AbortSignal,
): Promise<CompositeBatchResponse> {
  const startedAt = performance.now();
  try {
    const { frames, summary } = await live.infer(toInferRequest(request, config), signal);
    return {
      composited_frames: frames,
      inference_time_ms: summary.inferenceMs,
      composite_time_ms: summary.compositeMs,
      total_time_ms: performance.now() - startedAt,
      audio_processing_ms: summary.audioMs,
      model_loaded: summary.modelWasLoaded,
      model_load_time_ms: summary.modelLoadMs,
      success: true,
      error: '',
      gpu_id: summary.gpuId,
    };
  } catch (thrown) {
    return refusedBatch(refusalText(thrown), performance.now() - startedAt);
  }
}

function refusedBatch(error: string, totalMs: number): CompositeBatchResponse {
  return {
    composited_frames: [],
    inference_time_ms: 0,
    composite_time_ms: 0,
    total_time_ms: totalMs,
    audio_processing_ms: 0,
    model_loaded: false,
    model_load_time_ms: 0,
    success: false,
    error,
    gpu_id: NO_GPU,
  };
}
