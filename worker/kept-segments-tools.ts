import type { Config } from '../shared/config/load.ts';
import { SegmentCache } from '../shared/segments/segment-cache.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { AudioFile } from './media/audio-file.ts';
import { readSilence } from './media/voice-file.ts';
import { KeptSegments } from './segments/kept-segments.ts';

/** The segments that this farm keeps for later renders. */
export function openCache(
  { storage }: Pick<Config, 'storage'>,
  { connection, artifacts }: Pick<WorkerTools, 'connection' | 'artifacts'>,
): SegmentCache {
  return new SegmentCache(connection, artifacts, storage.segment_cache_gb);
}

/** The same for the segments of renders. */
export function keptSegments(cache: SegmentCache, { artifacts }: Pick<WorkerTools, 'artifacts'>): KeptSegments {
  return new KeptSegments({
    cache,
    openSound: (renderId) => AudioFile.ofRender(artifacts, renderId),
    readSilence: ({ renderId, request: { idleAfterMs, frameRate } }) =>
      readSilence(artifacts, { renderId, idleAfterMs, frameRate }),
  });
}
