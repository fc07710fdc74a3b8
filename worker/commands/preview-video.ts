/**
 * A short video of a model speaking, made by the farm's own steps in this process: one segment, joined with its sound.
 */

import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import type { Config } from '../../shared/config/load.ts';
import { frameRateOf } from '../../shared/config/model-hearing.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import type { Quality } from '../../shared/views/quality-view.ts';
import { lineInThisThread } from '../engine/frame-outputs.ts';
import { LastingPools } from '../engine/memory-pool.ts';
import { renderSegment } from '../engine/render-segment.ts';
import { Turns } from '../engine/turns.ts';
import { AudioFile } from '../media/audio-file.ts';
import { decodeAudio } from '../media/decode-audio.ts';
import { joinCommand, segmentList } from '../media/join-segments.ts';
import { planRender } from '../media/plan.ts';
import { soundtrackOf } from '../media/soundtrack.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import { assess } from '../quality/assess.ts';
import { readMeasures } from '../quality/read-measures.ts';
import { sheetFrames } from '../quality/sheet-frames.ts';
import { voiceLevels } from '../quality/voice-levels.ts';
import { drawWaveform } from '../quality/waveform.ts';
import { smallPicture } from '../report/shown-pictures.ts';
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
  /** An MP4 file; undefined: the frames are measured, and no video is kept. */
  readonly outputPath: string | undefined;
}

export interface PreviewShot {
  readonly atSeconds: number;
  readonly jpeg: Buffer;
}

/** What is seen and measured of a preview. */
export interface PreviewLook {
  readonly quality: Quality;
  /** An SVG: voice and mouth. */
  readonly waveform: string;
  /** Some of its frames, and when they are shown. */
  readonly shots: readonly PreviewShot[];
}

export interface PreviewFacts extends PreviewLook {
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
    const frameRate = await frameRateOf(model.entry);
    const { frameCount, ...plan } = planRender(samples, settings, { frameRate });
    const task = {
      ...{ ...plan, frameRate },
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
    const receipt = await renderSegment(0, task, model, tools);
    const look = await lookAt(artifacts, { modelId: model.modelId, frameRate }, frameCount);
    const facts = { ...look, frames: frameCount, msPerFrame: receipt.wall_ms / frameCount };
    if (outputPath === undefined) return facts;
    const listPath = artifacts.localPath(artifactKeys.segmentList(RENDER_ID));
    await writeFile(listPath, segmentList([basename(artifactKeys.segmentVideo(RENDER_ID, 0))]));
    const spoken = { ...plan, frameCount, frameRate, sound: decoded.ear };
    const soundtrack = artifacts.localPath(await soundtrackOf(artifacts, RENDER_ID, spoken, signal));
    await runFfmpeg(joinCommand(listPath, soundtrack, outputPath), { signal, timeoutMs: JOIN_TIMEOUT_MS });
    return facts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What a media worker tells of a finished render, of this one segment. */
async function lookAt(
  artifacts: LocalArtifacts,
  { modelId, frameRate }: { readonly modelId: string; readonly frameRate: FrameRate },
  frameCount: number,
): Promise<PreviewLook> {
  const frames = { start: 0, end: frameCount };
  const measures = await readMeasures(artifacts, RENDER_ID, 1, frameCount);
  if (measures === undefined) throw new FarmError('internal', 'the preview has no measures');
  await using audio = await AudioFile.open(artifacts.localPath(artifactKeys.samples(RENDER_ID)));
  const levels = await voiceLevels(audio, frames, frameRate);
  const quality = assess(measures, levels);
  const waveform = drawWaveform({
    renderId: RENDER_ID,
    modelId,
    levels,
    opening: measures.opening,
    quality,
    frameRate,
  });
  const shots = sheetFrames(frames).map(async (frame) => {
    const jpeg = await smallPicture(await readFile(artifacts.localPath(artifactKeys.tile(RENDER_ID, frame))));
    return { atSeconds: frame / frameRate, jpeg };
  });
  return { quality, waveform, shots: await Promise.all(shots) };
}
