import { z } from 'zod';
import type { BackgroundMode } from '../../shared/background-mode.ts';
import type { Config } from '../../shared/config/load.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import {
  backgroundMode,
  frameRate,
  jpegQuality,
  modelId,
  notNegative,
  onceFor,
  oneOf,
  sampleRate,
  silenceGate,
} from '../message-fields.ts';
import type { SampleFormat } from './pcm.ts';

export interface StreamOptions {
  readonly modelId: string;
  /** 8000 … 48 000. */
  readonly sampleRateHz: number;
  readonly startFrameIndex: number;
  /** Absent: as the model says. */
  readonly backgroundMode?: BackgroundMode | undefined;
  /** Frames a second; absent: 25 once the stream is open, before that as the model says. */
  readonly frameRate?: FrameRate | undefined;
  /** Whether the mouth is closed and still in silence; absent: as the model says. */
  readonly silenceGate?: boolean | undefined;
  readonly output: 'jpeg' | 'raw';
  readonly jpegQuality: number;
  /** 'exact': frames equal those of a whole render. 'low': a frame waits for less of the sound after it. */
  readonly latency: 'exact' | 'low';
  /** After this long without sound, silence is inserted so that the face keeps moving; 0: never. */
  readonly fillGapsAfterMs: number;
  /** What happens to frames that are too late to be shown in time: 'keep' sends them all, 'skip' leaves them out. */
  readonly catchUp: 'keep' | 'skip';
}

/** How a stream is opened, over any transport. */
export interface StreamOpening {
  readonly options: StreamOptions;
  readonly sampleFormat: SampleFormat;
}

/** The fields of `Open` in farm.proto by their names there; what is left out is what proto3 sends for it: 0 or "". */
export const streamOpenSchema = onceFor((config: Config) =>
  z
    .strictObject({
      model_id: modelId(config).prefault(''),
      sample_rate: sampleRate.prefault(0),
      sample_format: oneOf(['F32LE', 'S16LE']).default('F32LE'),
      start_frame_idx: notNegative.default(0),
      background_mode: backgroundMode,
      fps: frameRate,
      silence_gate: silenceGate,
      jpeg_quality: jpegQuality(config).prefault(0),
      output: oneOf(['JPEG', 'RAW']).default('JPEG'),
      latency: oneOf(['EXACT', 'LOW']).default('EXACT'),
      fill_gaps_after_ms: notNegative.default(0),
      catch_up: oneOf(['KEEP', 'SKIP']).default('KEEP'),
    })
    .transform(
      (open): StreamOpening => ({
        sampleFormat: open.sample_format,
        options: {
          modelId: open.model_id,
          sampleRateHz: open.sample_rate,
          startFrameIndex: open.start_frame_idx,
          backgroundMode: open.background_mode,
          frameRate: open.fps,
          silenceGate: open.silence_gate,
          output: open.output === 'RAW' ? 'raw' : 'jpeg',
          jpegQuality: open.jpeg_quality,
          latency: open.latency === 'LOW' ? 'low' : 'exact',
          fillGapsAfterMs: open.fill_gaps_after_ms,
          catchUp: open.catch_up === 'SKIP' ? 'skip' : 'keep',
        },
      }),
    ),
);
