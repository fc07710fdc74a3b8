import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import type { Config } from '../../shared/config/load.ts';
import type { RenderRecord } from '../../shared/renders/record.ts';
import { type DecodedSound, decodeAudio, type SoundPaths } from './decode-audio.ts';

/** Decodes the upload of a render and keeps its sounds. FarmError: those of decodeAudio. */
export async function readUpload(
  { config, artifacts }: { readonly config: Config; readonly artifacts: ArtifactStore },
  { renderId, request }: RenderRecord,
  signal: AbortSignal,
): Promise<DecodedSound> {
  const upload = artifacts.localPath(artifactKeys.upload(renderId));
  const maxSeconds = config.limits.max_audio_minutes * 60;
  const silence = { leadMs: request.audioLeadMs ?? 0, tailMs: request.audioTailMs ?? 0 };
  const decode = (paths: Pick<SoundPaths, 'ear'>) =>
    artifacts.publish(artifactKeys.samples(renderId), (mouth) =>
      decodeAudio(upload, { ...paths, mouth }, maxSeconds, signal, silence),
    );
  // Frames are delivered without sound.
  if (request.output === 'frames') return await decode({});
  return await artifacts.publish(artifactKeys.sound(renderId), (ear) => decode({ ear }));
}
