import { setTimeout as delay } from 'node:timers/promises';
import type { Frame, Opened } from '../../api/grpc/messages/farm.ts';
import { frameCount, samplesPerFrame } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { send, type TestClient } from '../grpc/clients.ts';
import { f32 } from '../grpc/speech.ts';
import { faceBrightness } from '../support/small-avatar.ts';
import { syllables } from '../support/sound.ts';

const SEND_EVERY_MS = 200;
const FRAME_MS = 40;
/** Pattern of the sound: so many frames of speech, and so many of silence. */
const SPEECH_FRAMES = 25;
const PERIOD_FRAMES = 100;
/** Shifts of the picture that are looked for, in frames either way. */
const MAX_SHIFT = 12;

export interface TalkStreamResult {
  readonly framesSent: number;
  readonly framesWanted: number;
  /** How far the picture of the last period lies behind that of the first, seen against the sound, in frames. */
  readonly driftFrames: number;
  readonly misplaced: number;
}

/**
 * One stream for as long as the soak goes on: a second of speech, three of silence, and so on, sent as fast as it is
 * spoken. Looks at the mouth in every frame.
 * @param onLag told, for each frame, how many ms after the earliest possible moment it came.
 */
export async function talkUntil(
  client: TestClient,
  modelId: string,
  stop: AbortSignal,
  onLag: (ms: number) => void,
): Promise<TalkStreamResult> {
  const period = new Float32Array(PERIOD_FRAMES * samplesPerFrame());
  period.set(syllables(1).subarray(0, SPEECH_FRAMES * samplesPerFrame()));
  const call = client.stream();
  const brightness: number[] = [];
  let misplaced = 0;
  let startedAtMs = 0;
  let algorithmicLatencyMs = 0;
  const ended = Promise.withResolvers<number>();
  const opened = Promise.withResolvers<void>();
  call.on('error', (error) => {
    ended.reject(error);
    opened.reject(error);
  });
  call.on('data', (message: { opened?: Opened; frame?: Frame; ended?: { frame_count: number } }) => {
    if (message.opened) {
      algorithmicLatencyMs = message.opened.algorithmic_latency_ms;
      opened.resolve();
    }
    if (message.ended) ended.resolve(message.ended.frame_count);
    const { frame } = message;
    if (!frame) return;
    onLag(performance.now() - startedAtMs - frame.frame_index * FRAME_MS - algorithmicLatencyMs);
    if (frame.frame_index !== brightness.length) misplaced++;
    const place = brightness.push(Number.NaN) - 1;
    void faceBrightness(frame.data, place).then((value) => {
      brightness[place] = value;
    }, ended.reject);
  });
  call.write({ open: { model_id: modelId, sample_rate: SAMPLE_RATE_HZ } as never });
  await opened.promise;
  startedAtMs = performance.now();
  let sentSamples = 0;
  while (!stop.aborted) {
    const due = Math.floor(((performance.now() - startedAtMs) / 1000) * SAMPLE_RATE_HZ);
    while (sentSamples < due) {
      const from = sentSamples % period.length;
      const piece = period.subarray(from, Math.min(period.length, from + due - sentSamples));
      await send(call, { audio: f32(piece) });
      sentSamples += piece.length;
    }
    await delay(SEND_EVERY_MS);
  }
  call.end();
  const framesSent = await ended.promise;
  return {
    framesSent,
    framesWanted: frameCount(sentSamples),
    driftFrames: shiftOf(brightness),
    misplaced,
  };
}

/** By how many frames the last whole period lies later in the list than the second one would have it. */
function shiftOf(brightness: readonly number[]): number {
  const periods = Math.floor(brightness.length / PERIOD_FRAMES);
  if (periods < 4) throw new Error('The stream was too short to measure a drift: four periods of four seconds');
  const template = brightness.slice(PERIOD_FRAMES, 2 * PERIOD_FRAMES);
  const begin = (periods - 2) * PERIOD_FRAMES;
  const errorAt = (shift: number) =>
    template.reduce((sum, value, index) => sum + (value - (brightness[begin + index + shift] ?? 0)) ** 2, 0);
  const shifts = Array.from({ length: 2 * MAX_SHIFT + 1 }, (_, index) => index - MAX_SHIFT);
  return shifts.reduce((best, shift) => (errorAt(shift) < errorAt(best) ? shift : best));
}
