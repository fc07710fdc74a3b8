import { keptKeys } from '../artifacts/keys.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import type { KeptIndex } from '../segments/kept-index.ts';
import { HOUR_MS } from '../units.ts';

/** Kept segments that nobody knows of: a process died while it kept them, or Redis has forgotten them. */
export interface UnknownSegments {
  readonly keys: readonly string[];
  readonly bytes: number;
}

/** Only what has such a name is ever looked at. */
const ENTRY = /^[^/]+\/[0-9a-f]{2}\/([0-9a-f]{64})\//;
/** Longer than anybody takes to keep a segment. */
const QUIET_MS = HOUR_MS;
/** Entries that are asked for at a time. */
const PIECE = 500;

/**
 * @param quietMs since anybody has written to one: it may just be being kept.
 * @returns undefined when there are none. FarmError('storage_failed') when the store cannot be read.
 */
export async function findUnknownSegments(
  artifacts: Pick<ArtifactStore, 'list'>,
  index: KeptIndex,
  quietMs = QUIET_MS,
): Promise<UnknownSegments | undefined> {
  const found = new Map<string, { bytes: number; quietMs: number }>();
  for await (const file of artifacts.list(keptKeys.all)) {
    const key = ENTRY.exec(file.key)?.[1];
    if (key === undefined) continue;
    const entry = found.get(key) ?? { bytes: 0, quietMs: Number.POSITIVE_INFINITY };
    found.set(key, { bytes: entry.bytes + file.bytes, quietMs: Math.min(entry.quietMs, file.quietMs) });
  }
  const keys: string[] = [];
  for (let at = 0; at < found.size; at += PIECE) {
    const piece = [...found.keys()].slice(at, at + PIECE);
    const known = await index.known(piece);
    keys.push(...piece.filter((key) => !known.has(key) && (found.get(key)?.quietMs ?? 0) >= quietMs));
  }
  const bytes = keys.reduce((sum, key) => sum + (found.get(key)?.bytes ?? 0), 0);
  return keys.length > 0 ? { keys, bytes } : undefined;
}
