import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Caller } from '../access/caller.ts';
import { liveSession, type SessionInput } from '../live/live-session.ts';
import type { StreamedFrame } from '../live/live-stream.ts';
import { type StreamOpening, streamOpenSchema } from '../live/stream-open.ts';
import { checkMessage } from '../message-fields.ts';
import type { Services } from '../services.ts';
import type { Frame, StreamRequest, StreamResponse } from './messages/farm.ts';

type Messages = AsyncIterator<StreamRequest>;

/** FarmService.Stream: sound in, frames out in order, both at the pace of the slower side. */
export function streamFrames({ config, live }: Pick<Services, 'config' | 'live'>) {
  return async function* (messages: Messages, signal: AbortSignal, caller: Caller): AsyncGenerator<StreamResponse> {
    const opening = await readOpen(messages, config);
    for await (const output of liveSession(live, opening, inputsOf(messages), { caller, signal })) {
      yield 'frame' in output ? { frame: toFrame(output.frame) } : output;
    }
  };
}

function toFrame({ frameIndex, timeMs, data, gpuId, latencyMs, skippedFrames }: StreamedFrame): Frame {
  return {
    ...{ frame_index: frameIndex, presentation_time_ms: timeMs, data, gpu_id: gpuId, latency_ms: latencyMs },
    skipped_frames: skippedFrames,
  };
}

async function readOpen(messages: Messages, config: Config): Promise<StreamOpening> {
  const { value, done } = await messages.next();
  const message: StreamRequest | undefined = done ? undefined : value;
  if (message?.request === 'open') return checkMessage(streamOpenSchema(config), message.open);
  const got = done ? 'the end' : (message?.request ?? 'an empty message');
  throw new FarmError('request_invalid', `First message of the stream: got ${got}, expected open`);
}

async function* inputsOf(messages: Messages): AsyncGenerator<SessionInput> {
  for (let item = await messages.next(); !item.done; item = await messages.next()) {
    const message = item.value;
    if (message.request === 'interrupt') yield 'interrupt';
    else if (message.request === 'audio') yield { audio: message.audio };
    else {
      const got = message.request ?? 'an empty message';
      throw new FarmError('request_invalid', `Later message of the stream: got ${got}, expected audio or interrupt`);
    }
  }
}
