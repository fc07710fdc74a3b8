import type { Caller } from '../access/caller.ts';
import type { LiveService } from './live.ts';
import type { StreamedFrame } from './live-stream.ts';
import { SoundInbox } from './sound-inbox.ts';
import type { StreamOpening } from './stream-open.ts';

/** What a client sends once its stream is open; after the end of its sound it may still interrupt. */
export type SessionInput = { readonly audio: Buffer } | 'interrupt' | 'end';

/** What it gets, in this order but for `interrupted`, which may come anywhere between. Field names as in farm.proto. */
export type SessionOutput =
  | {
      readonly opened: {
        readonly algorithmic_latency_ms: number;
        readonly sample_rate: number;
        readonly frames_per_second: number;
      };
    }
  | { readonly frame: StreamedFrame }
  | { readonly interrupted: { readonly frame_index: number } }
  | { readonly ended: { readonly frame_count: number; readonly skipped_frames: number } };

/**
 * A live stream as both transports offer it: sound in, frames out in order, both at the pace of the slower side.
 * @param inputs what the client sends, read when there is room for it. Where they end, the sound ends too.
 * FarmError: those of LiveService.openStream, and of its requests.
 */
export async function* liveSession(
  live: Pick<LiveService, 'openStream'>,
  { options, sampleFormat }: StreamOpening,
  inputs: AsyncIterator<SessionInput>,
  { caller, signal: callSignal }: { readonly caller: Caller; readonly signal: AbortSignal },
): AsyncGenerator<SessionOutput> {
  // Aborted with what is wrong with the sound, so that the frames stop too.
  const failing = new AbortController();
  const fail = (error: unknown) => failing.abort(error);
  const signal = AbortSignal.any([callSignal, failing.signal]);
  const stream = await live.openStream(options, caller, signal);
  // Sound is read while the client is told that the stream is open.
  const inbox = new SoundInbox(stream, sampleFormat, signal);
  inbox.run().catch(fail);
  feed(inbox, inputs).catch(fail);
  yield {
    opened: {
      algorithmic_latency_ms: stream.algorithmicLatencyMs,
      sample_rate: options.sampleRateHz,
      frames_per_second: stream.framesPerSecond,
    },
  };
  const ended = { frame_count: 0, skipped_frames: 0 };
  try {
    for await (const output of stream.outputs()) {
      if ('stoppedAt' in output) yield { interrupted: { frame_index: output.stoppedAt } };
      else {
        yield { frame: output };
        ended.frame_count++;
        ended.skipped_frames += output.skippedFrames;
      }
    }
  } catch (error) {
    throw failing.signal.aborted ? failing.signal.reason : error;
  }
  yield { ended };
}

async function feed(inbox: SoundInbox, inputs: AsyncIterator<SessionInput>): Promise<void> {
  for (let item = await inputs.next(); !item.done; item = await inputs.next()) {
    if (item.value === 'interrupt') inbox.interrupt();
    else if (item.value === 'end') inbox.end();
    else await inbox.push(item.value.audio);
  }
  inbox.end();
}
