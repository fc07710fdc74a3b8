import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';
import type { Caller } from '../access/caller.ts';
import type { StreamedFrame, StreamOptions } from '../live/live-stream.ts';
import type { Services } from '../services.ts';
import { checkMessage, jpegQuality, modelId, notNegative, oneOf, sampleRate } from './fields.ts';
import type { Frame, StreamRequest, StreamResponse } from './messages/farm.ts';
import { PcmDecoder } from './pcm.ts';

const openSchema = (config: Config) =>
  z.object({
    model_id: modelId(config),
    sample_rate: sampleRate,
    sample_format: oneOf(['F32LE', 'S16LE']),
    start_frame_idx: notNegative,
    jpeg_quality: jpegQuality(config),
    output: oneOf(['JPEG', 'RAW']),
    latency: oneOf(['EXACT', 'LOW']),
    fill_gaps_after_ms: notNegative,
    catch_up: oneOf(['KEEP', 'SKIP']),
  });

type OpenSettings = z.output<ReturnType<typeof openSchema>>;
type Messages = AsyncIterator<StreamRequest>;

/** A message may be as long as an hour of sound; it is decoded and handed over in pieces of about a second. */
const PIECE_BYTES = 64 * 1024;

/** FarmService.Stream: sound in, frames out in order, both at the pace of the slower side. */
export function streamFrames({ config, live }: Pick<Services, 'config' | 'live'>) {
  return async function* (messages: Messages, callSignal: AbortSignal, caller: Caller): AsyncGenerator<StreamResponse> {
    const settings = await readOpen(messages, config);
    // Aborted with what is wrong with the sound, so that the frames stop too.
    const failing = new AbortController();
    const signal = AbortSignal.any([callSignal, failing.signal]);
    const stream = await live.openStream(toOptions(settings), caller, signal);
    yield {
      opened: {
        algorithmic_latency_ms: stream.algorithmicLatencyMs,
        sample_rate: settings.sample_rate,
        frames_per_second: FRAMES_PER_SECOND,
      },
    };
    feed(stream, messages, settings.sample_format).catch((error: unknown) => failing.abort(error));
    const ended = { frame_count: 0, skipped_frames: 0 };
    try {
      for await (const frame of stream.frames()) {
        yield { frame: toFrame(frame) };
        ended.frame_count++;
        ended.skipped_frames += frame.skippedFrames;
      }
    } catch (error) {
      throw failing.signal.aborted ? failing.signal.reason : error;
    }
    yield { ended };
  };
}

function toFrame({ frameIndex, timeMs, data, gpuId, latencyMs, skippedFrames }: StreamedFrame): Frame {
  return {
    ...{ frame_index: frameIndex, presentation_time_ms: timeMs, data, gpu_id: gpuId, latency_ms: latencyMs },
    skipped_frames: skippedFrames,
  };
}

async function readOpen(messages: Messages, config: Config): Promise<OpenSettings> {
  const { value, done } = await messages.next();
  const message: StreamRequest | undefined = done ? undefined : value;
  if (message?.request === 'open') return checkMessage(openSchema(config), message.open);
  const got = done ? 'the end' : (message?.request ?? 'an empty message');
  throw new FarmError('request_invalid', `First message of the stream: got ${got}, expected open`);
}

function toOptions(settings: OpenSettings): StreamOptions {
  return {
    modelId: settings.model_id,
    sampleRateHz: settings.sample_rate,
    startFrameIndex: settings.start_frame_idx,
    output: settings.output === 'RAW' ? 'raw' : 'jpeg',
    jpegQuality: settings.jpeg_quality,
    latency: settings.latency === 'LOW' ? 'low' : 'exact',
    fillGapsAfterMs: settings.fill_gaps_after_ms,
    catchUp: settings.catch_up === 'SKIP' ? 'skip' : 'keep',
  };
}

/** Hands the sound over as it comes. The next message is read when the stream has room for it. */
async function feed(
  stream: { write(samples: Float32Array): Promise<void>; end(): void },
  messages: Messages,
  format: OpenSettings['sample_format'],
): Promise<void> {
  const decoder = new PcmDecoder(format);
  for (let item = await messages.next(); !item.done; item = await messages.next()) {
    const message = item.value;
    if (message.request !== 'audio') {
      const got = message.request ?? 'an empty message';
      throw new FarmError('request_invalid', `Later message of the stream: got ${got}, expected audio`);
    }
    const { audio } = message;
    for (let start = 0; start < audio.length; start += PIECE_BYTES) {
      const samples = decoder.push(audio.subarray(start, start + PIECE_BYTES));
      if (samples.length > 0) await stream.write(samples);
    }
  }
  decoder.end();
  stream.end();
}
