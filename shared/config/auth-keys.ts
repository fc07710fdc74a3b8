import { type ApiKey, hashApiKey, NO_LIMITS, SHORTEST_HASHED_KEY } from '../api-keys.ts';
import { GB } from '../units.ts';
import type { ConfigValues } from './schema.ts';

/**
 * The keys of the section `auth`, of both kinds. Those of `api_keys` are hashed here, and not kept; one that is
 * in `keys` too has the role that it has there.
 */
export function apiKeysOf({ api_keys, keys }: ConfigValues['auth']): ApiKey[] {
  const hashed = keys.map(
    ({
      name,
      sha256,
      role,
      requests_per_minute,
      max_unfinished_renders,
      max_unfinished_frames,
      max_streams,
      storage_quota_gb,
    }): ApiKey => ({
      ...{ name, sha256, role, plain: false, isWeak: false },
      limits: {
        requestsPerMinute: requests_per_minute,
        unfinishedRenders: max_unfinished_renders,
        unfinishedFrames: max_unfinished_frames,
        streams: max_streams,
        storedBytes: storage_quota_gb * GB,
      },
    }),
  );
  const known = new Set(hashed.map(({ sha256 }) => sha256));
  const others = [...new Set(api_keys)].filter((key) => !known.has(hashApiKey(key)));
  const plain = others.map(
    (key, index): ApiKey => ({
      // With a space, which no configured name can have.
      name: `key ${index + 1}`,
      sha256: hashApiKey(key),
      ...{ role: 'admin', plain: true, isWeak: key.length < SHORTEST_HASHED_KEY, limits: NO_LIMITS },
    }),
  );
  return [...hashed, ...plain];
}
