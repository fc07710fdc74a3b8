import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { frameRateOf } from '../../shared/config/model-hearing.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { backlogIn, countJobs } from '../../shared/jobs/queue-counts.ts';
import { cutRange } from '../../shared/renders/frame-range.ts';
import type { RenderRequest } from '../../shared/renders/record.ts';
import { type FrameRate, frameCount } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import type { Estimate } from '../../shared/views/estimate-view.ts';
import { readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { costOn, gpusForModel, measuredCost } from '../../shared/workers/placement.ts';
import type { Models } from '../models.ts';

export interface EstimateTools {
  readonly config: Config;
  readonly redis: Redis;
  readonly models: Models;
}

/** A render that may be submitted later. */
export interface PlannedRender {
  readonly modelId: string;
  /** Of the sound alone. */
  readonly audioSeconds: number;
  /** Silence before and after it. */
  readonly silenceMs: number;
  readonly range?: RenderRequest['range'];
  /** Frames a second; absent: as the model says. */
  readonly frameRate?: FrameRate | undefined;
}

/** A GPU that can render the model, in ms. */
interface AbleGpu {
  readonly frameMs: number;
  readonly busyMs: number;
}

/**
 * What a render would cost, from what the GPUs of this farm have measured and what is on their queues. It takes no turn
 * into account: a render may well begin before what is on the queues is done.
 * FarmError: model_unknown, model_unusable, audio_too_long, request_invalid (a range behind the end of the sound).
 */
export async function estimateRender(tools: EstimateTools, planned: PlannedRender): Promise<Estimate> {
  const { config, models } = tools;
  const { modelId, audioSeconds, silenceMs, range } = planned;
  await models.refuseUnusable(modelId);
  const { frameRate = await frameRateOf(await models.requireKnown(modelId)) } = planned;
  const { max_audio_minutes } = config.limits;
  if (audioSeconds > max_audio_minutes * 60) {
    throw new FarmError('audio_too_long', `The audio lasts more than ${max_audio_minutes} min, the most that is taken`);
  }
  const sampleCount = Math.round((audioSeconds + silenceMs / 1000) * SAMPLE_RATE_HZ);
  const total = frameCount(sampleCount, frameRate);
  const frames = cutRange(total, range).frameCount;
  const { gpus, able } = await findGpus(tools, modelId);
  return { model_id: modelId, frames, gpus, ...timesOf(frames, able) };
}

/** @returns how many GPUs can render it, and those of which is known how fast. */
async function findGpus({ redis, config }: EstimateTools, modelId: string): Promise<{ gpus: number; able: AbleGpu[] }> {
  const heartbeats = await readHeartbeats(redis);
  const gpuIds = gpusForModel(heartbeats, modelId);
  const counts = await countJobs(redis, gpuIds);
  const able = gpuIds.flatMap((gpuId, index) => {
    const count = counts[index];
    if (!count || !measuredCost(heartbeats, gpuId, modelId)) return [];
    const { frameMs, loadMs } = costOn(heartbeats, gpuId, modelId);
    // As placement counts it: as whole segments of this model, since those of others differ little.
    return [{ frameMs, busyMs: loadMs + backlogIn(count) * config.render.segment_frames * frameMs }];
  });
  return { gpus: gpuIds.length, able };
}

function timesOf(frames: number, able: readonly AbleGpu[]) {
  if (able.length === 0) {
    return { frames_per_second: null, gpu_seconds: null, queue_seconds: null, finish_seconds: null };
  }
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const gpuMs = frames * mean(able.map(({ frameMs }) => frameMs));
  const [first, all] = [Math.min(...able.map(({ busyMs }) => busyMs)), mean(able.map(({ busyMs }) => busyMs))];
  return {
    frames_per_second: rounded((1000 * frames) / gpuMs),
    gpu_seconds: rounded(gpuMs / 1000),
    queue_seconds: rounded(first / 1000),
    finish_seconds: rounded(Math.max(first, all) / 1000 + gpuMs / able.length / 1000),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
