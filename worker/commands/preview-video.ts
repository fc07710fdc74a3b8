/**
 * A short video of a model speaking, made by the farm's own steps in this process: one segment, joined with its sound.
 */

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { artifactKeys, LocalArtifacts } from '../../shared/artifacts.ts';
import type { Config } from '../../shared/config/load.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { lineInThisThread } from '../engine/frame-outputs.ts';
import { LastingPools } from '../engine/memory-pool.ts';
import { renderSegment } from '../engine/render-segment.ts';
import { Turns } from '../engine/turns.ts';
import { decodeAudio } from '../media/decode-audio.ts';
import { joinCommand, segmentList } from '../media/join-segments.ts';
import { planRender } from '../media/plan.ts';
import { soundtrackOf } from '../media/soundtrack.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import { runFfmpeg } from '../tools/ffmpeg.ts';

const RENDER_ID = 'preview';
const BYTES_PER_SAMPLE = 4;
const JOIN_TIMEOUT_MS = MINUTE_MS;
/** Longest sound that is decoded, of which the preview takes the beginning. */
const MAX_SOUND_SECONDS = 60;

export interface PreviewOptions {
  readonly audioPath: string;
  /** Length of the preview; of the whole sound when that is shorter. */
  readonly seconds: number;
  readonly settings: Config['render'];
  /** An MP4 file. */
  readonly outputPath: string;
}

export interface PreviewFacts {
  readonly frames: number;
  /** Of the whole pipeline, video encoding included. */
  readonly msPerFrame: number;
}

/**
 * Renders the beginning of a sound.
 * @throws what decodeAudio, renderSegment and runFfmpeg throw; `signal.reason` once the signal is aborted.
 */
export async function renderPreview(
  model: LoadedModel,
  { audioPath, seconds, settings, outputPath }: PreviewOptions,
  signal: AbortSignal,
): Promise<PreviewFacts> {
  const folder = await mkdtemp(join(tmpdir(), 'farm-preview-'));
  try {
    const artifacts = new LocalArtifacts(folder);
    const ear = artifacts.localPath(artifactKeys.sound(RENDER_ID));
    const decoded = await artifacts.publish(artifactKeys.samples(RENDER_ID), (mouth) =>
      decodeAudio(audioPath, { mouth, ear }, MAX_SOUND_SECONDS, signal),
    );
    const samples = Math.min(decoded.sampleCount, seconds * SAMPLE_RATE_HZ);
    await truncate(artifacts.localPath(artifactKeys.samples(RENDER_ID)), samples * BYTES_PER_SAMPLE);
    const { frameCount, ...plan } = planRender(samples, settings);
    const task = {
      ...plan,
      renderId: RENDER_ID,
      segmentIndex: 0,
      modelId: model.modelId,
      frames: { start: 0, end: frameCount },
      startFrameIndex: 0,
      totalFrames: frameCount,
      output: { kind: 'mp4', crf: plan.h264Crf, preset: plan.h264Preset } as const,
    };
    const tools = {
      artifacts,
      line: lineInThisThread(artifacts),
      turns: new Turns(),
      pools: new LastingPools(),
      signal,
    };
    const { wall_ms } = await renderSegment(0, task, model, tools);
    const listPath = artifacts.localPath(artifactKeys.segmentList(RENDER_ID));
    await writeFile(listPath, segmentList([basename(artifactKeys.segmentVideo(RENDER_ID, 0))]));
    const soundtrack = await soundtrackOf(artifacts, RENDER_ID, { ...plan, frameCount, sound: decoded.ear }, signal);
    await runFfmpeg(joinCommand(listPath, soundtrack, outputPath), { signal, timeoutMs: JOIN_TIMEOUT_MS });
    return { frames: frameCount, msPerFrame: wall_ms / frameCount };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
