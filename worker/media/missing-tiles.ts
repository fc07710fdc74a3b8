import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { VideoOutput } from '../../shared/renders/outputs.ts';
import type { SegmentReceipt } from '../../shared/renders/record.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { runFfmpeg } from '../tools/ffmpeg.ts';

const TAKE_TIMEOUT_MS = MINUTE_MS;
/** Of ffmpeg's scale: hardly to be told from the frame. */
const TILE_QUALITY = 2;

/**
 * Takes a frame for the contact sheet out of its segment: one that an earlier render has made kept the frames of that
 * render's sheet. @throws FarmError `encode_failed`, or the fault of the machine; `signal.reason` once that is aborted.
 */
export async function takeTile(
  artifacts: ArtifactStore,
  renderId: string,
  output: VideoOutput,
  { segments, frameIndex }: { readonly segments: readonly SegmentReceipt[]; readonly frameIndex: number },
  signal: AbortSignal,
): Promise<void> {
  const segment = segments.find(({ frames }) => frames.start <= frameIndex && frameIndex < frames.end);
  if (!segment) return;
  const video = artifactKeys.segmentVideo(renderId, segment.index, output);
  await using files = await artifacts.checkOut([video], { signal });
  const select = `select=eq(n\\,${frameIndex - segment.frames.start})`;
  await artifacts.publish(artifactKeys.tile(renderId, frameIndex), async (outputPath) => {
    const outputOptions = ['-vf', select, '-frames:v', '1', '-q:v', String(TILE_QUALITY), '-f', 'image2'];
    const inputs = [{ source: files.path(video), options: ['-nostdin'] }];
    await runFfmpeg({ inputs, outputOptions, outputPath }, { signal, timeoutMs: TAKE_TIMEOUT_MS });
  });
}
