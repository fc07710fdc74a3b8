/** In which frames of a render there is a voice: a file that `prepare` writes and every segment reads. */

import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { RenderPlan, RenderRecord } from '../../shared/renders/record.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import { IdleTrack, idleAfterFrames, NOT_IDLE, passIdle } from '../../shared/sound/idle-track.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { type GateSettings, SilenceGate, VOICES, VoiceTrack } from '../../shared/sound/silence-gate.ts';
import { AudioFile } from './audio-file.ts';

type Length = Pick<RenderPlan, 'totalFrames' | 'frameCount'>;

/** 640 KB of samples. */
const SAMPLES_AT_ONCE = 10 * SAMPLE_RATE_HZ;

/** Decides where the sound of a render is silent, if it has a silence gate, and says by what. */
export async function decideSilence(
  { config, artifacts }: { readonly config: Pick<Config, 'models'>; readonly artifacts: ArtifactStore },
  record: Pick<RenderRecord, 'renderId' | 'request'>,
  plan: Length,
  signal: AbortSignal,
): Promise<GateSettings | undefined> {
  const { silenceGate, modelId } = record.request;
  const gate = silenceGate && config.models.get(modelId)?.gate;
  if (!gate) return undefined;
  await writeVoices(artifacts, record, gate, plan, signal);
  return gate;
}

/**
 * Decides for the whole sound of a render, a digit a frame: 90 KB for an hour.
 */
export async function writeVoices(
  artifacts: ArtifactStore,
  { renderId, request }: Pick<RenderRecord, 'renderId' | 'request'>,
  settings: GateSettings,
  { totalFrames, frameCount }: Length,
  signal: AbortSignal,
): Promise<void> {
  const gate = new SilenceGate(settings, request.frameRate);
  await using audio = await AudioFile.ofRender(artifacts, renderId);
  for (let start = 0; start < audio.sampleCount; start += SAMPLES_AT_ONCE) {
    signal.throwIfAborted();
    gate.push(await audio.read({ start, end: Math.min(start + SAMPLES_AT_ONCE, audio.sampleCount) }));
  }
  gate.end();
  const voices = gate.voices(0, totalFrames ?? frameCount);
  await artifacts.put(artifactKeys.voices(renderId), voices);
}

/** Which frames hear a voice, and which show the idle clip. FarmError('storage_failed') when that is not there. */
export async function readSilence(
  artifacts: ArtifactStore,
  render: {
    readonly renderId: string;
    readonly idleAfterMs?: number | undefined;
    readonly frameRate?: FrameRate | undefined;
  },
): Promise<{ readonly voices: VoiceTrack; readonly idle: IdleTrack | undefined }> {
  const voices = await readVoices(artifacts, render.renderId);
  const { idleAfterMs, frameRate } = render;
  const idle =
    idleAfterMs === undefined
      ? undefined
      : new IdleTrack(passIdle(NOT_IDLE, voices, idleAfterFrames(idleAfterMs, frameRate)).frames);
  return { voices: new VoiceTrack(voices), idle };
}

async function readVoices(artifacts: ArtifactStore, renderId: string): Promise<string> {
  const voices = (await artifacts.contents(artifactKeys.voices(renderId)))?.toString();
  if (voices === undefined) throw new FarmError('storage_failed', 'What says where the voice is, is not in the store');
  if (!VOICES.test(voices)) throw new FarmError('storage_failed', 'What says where the voice is, is damaged');
  return voices;
}
