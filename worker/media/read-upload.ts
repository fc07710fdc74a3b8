import { truncate } from 'node:fs/promises';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { Config } from '../../shared/config/load.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderRecord } from '../../shared/renders/record.ts';
import { type DecodedSound, decodeAudio, type SoundPaths } from './decode-audio.ts';

const BYTES_PER_SAMPLE = 4;

/**
 * Decodes the upload of a render and keeps its sounds. FarmError: those of decodeAudio.
 * @param leastSamples a shorter sound is followed by silence: for the mouth here, for the ear when it is encoded.
 */
export async function readUpload(
  { config, artifacts }: { readonly config: Config; readonly artifacts: ArtifactStore },
  { renderId, request }: RenderRecord,
  signal: AbortSignal,
  leastSamples = 0,
): Promise<DecodedSound> {
  const uploadKey = artifactKeys.upload(renderId);
  await using files = await artifacts.checkOut([uploadKey], { signal });
  const upload = files.path(uploadKey);
  const maxSeconds = config.limits.max_audio_minutes * 60;
  const silence = { leadMs: request.audioLeadMs ?? 0, tailMs: request.audioTailMs ?? 0 };
  const decode = (paths: Pick<SoundPaths, 'ear'>) =>
    artifacts.publish(artifactKeys.samples(renderId), async (mouth) => {
      const decoded = await decodeAudio(upload, { ...paths, mouth }, maxSeconds, signal, silence);
      if (decoded.sampleCount >= leastSamples) return decoded;
      // The file system fills what is added with zeros.
      await truncate(mouth, leastSamples * BYTES_PER_SAMPLE);
      return { ...decoded, sampleCount: leastSamples };
    });
  // Frames are delivered without sound.
  if (!isVideo(request.output)) return await decode({});
  return await artifacts.publish(artifactKeys.sound(renderId), (ear) => decode({ ear }));
}
