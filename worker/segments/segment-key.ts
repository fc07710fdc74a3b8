import { createHash } from 'node:crypto';
import { PING_PONG } from '../../shared/background-mode.ts';
import { walkOver } from '../../shared/renders/footage.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderPlan, RenderRecord, RenderRequest } from '../../shared/renders/record.ts';
import { USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import type { IdleTrack } from '../../shared/sound/idle-track.ts';
import type { VoiceTrack } from '../../shared/sound/silence-gate.ts';
import type { ModelContentState } from '../../shared/workers/heartbeat.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import { soundOfFrames } from '../pipeline/heard-sound.ts';
import { SEGMENT_VERSION } from './segment-version.ts';
import type { SoundHashes } from './sound-hashes.ts';

/** What a silence gate says of a render: which frames hear a voice, and which show an idle clip. */
export interface Silence {
  readonly voices: VoiceTrack;
  readonly idle?: IdleTrack | undefined;
}

/** All that decides the bytes of a segment. */
export interface SegmentContent {
  readonly record: Pick<RenderRecord, 'request' | 'owner'>;
  readonly plan: RenderPlan;
  readonly frames: IndexRange;
  readonly model: ModelContentState;
  readonly sound: SoundHashes;
  /** Of a render with a silence gate. */
  readonly silence?: Silence | undefined;
}

/**
 * The key under which a segment is kept, in hex: the same for segments of the same bytes, and another one where anything
 * differs that these may depend on. It may differ without need: then something is rendered that was there.
 * @returns undefined where it is not known yet what the model is made of.
 */
export async function segmentKey({
  record,
  plan,
  frames,
  model,
  sound,
  silence,
}: SegmentContent): Promise<string | undefined> {
  const { request, owner } = record;
  const pictures = request.footage ? model.networks : model.whole;
  if (pictures === undefined) return undefined;
  const { encoderBatchWindows, frameCount, totalFrames = frameCount, sampleCount } = plan;
  const { frameRate = USUAL_FRAME_RATE } = request;
  const batchFrames = model.framesPerRun === 1 ? 1 : plan.batchFrames;
  const heard = soundOfFrames(
    { frames, totalFrames, frameRate, batchFrames, encoderBatchWindows },
    model.hearing,
    sampleCount,
  );
  const all = {
    version: SEGMENT_VERSION,
    // What one key's renders have made does not show in the times of another's.
    owner: owner ?? null,
    model: pictures,
    frames: [frames, heard.computed, batchFrames, encoderBatchWindows, frameRate],
    sound: [heard.samples, await sound.of(heard.samples), heard.seesEnd ? sampleCount : null],
    silence: silence ? framesIn(silence, heard.computed) : null,
    walk: walkOf(request, totalFrames),
    output: outputOf(request, plan),
  };
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

/** How much of a voice each frame hears; and of the idle clip how much it shows of which moment. */
function framesIn({ voices, idle }: Silence, { start, end }: IndexRange): string[] {
  return Array.from({ length: end - start }, (_, at) => {
    const { amount = 0, place = 0 } = idle?.at(start + at) ?? {};
    return `${voices.at(start + at)}${amount > 0 ? ` ${amount} ${place}` : ''}`;
  });
}

/** Where the walk turns back in the middle, each frame depends on how many there are. */
function walkOf(
  { footage, backgroundMode = PING_PONG, startFrameIndex, fromNeutral }: RenderRequest,
  totalFrames: number,
): unknown[] {
  const { videoSha256, marks, marksSha256, syncMode } = footage ?? {};
  const mode = syncMode ? walkOver(syncMode) : backgroundMode;
  return [mode, startFrameIndex, fromNeutral ? totalFrames : null, videoSha256, marks, marksSha256, syncMode];
}

function outputOf({ output, jpegQuality }: RenderRequest, { h264Crf, h264Preset }: RenderPlan): unknown[] {
  return isVideo(output) ? [output, h264Crf, h264Preset] : [output, jpegQuality];
}
