/**
 * The one place that takes secrets out of what this process says: log lines, errors of the catalogue (and with them
 * answers, records and failed jobs), and what commands print. It knows the secrets of the configuration that was read,
 * and the forms of addresses and headers that have some.
 */

const HIDDEN = '***';
/** A shorter text would be found in what is no secret. */
const SHORTEST = 4;
/** What stands before the host in an address: `redis://user:password@host`. */
const CREDENTIALS = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"'\\]*@/gi;
/** Headers, as JSON of a library's log line has them. */
const HEADERS = /("(?:proxy-)?(?:authorization|(?:set-)?cookie)":\[?")[^"]+/gi;
/** In a presigned address: who has it may do what it says. */
const SIGNATURE = /\b(X-Amz-(?:Signature|Security-Token|Credential)=)[^&\s"'\\]+/gi;
/** Up to the last "@": a password that is not encoded as it should be may have one, or a "/". */
const ADDRESS = /^[a-z+]+:\/\/(?:([^:]*):)?(.*)@/i;

const known = new Set<string>();

/** `text` without secrets. */
export function withoutSecrets(text: string): string {
  let hidden = text
    .replace(CREDENTIALS, `$1${HIDDEN}@`)
    .replace(HEADERS, `$1${HIDDEN}`)
    .replace(SIGNATURE, `$1${HIDDEN}`);
  for (const secret of known) hidden = hidden.replaceAll(secret, HIDDEN);
  return hidden;
}

/**
 * Takes note of the secrets in a configuration as it was written, which may be wrong in any way.
 * @param others of the environment.
 */
export function noteSecrets(
  values: Readonly<Record<string, unknown>>,
  redisUrl: string | undefined,
  others: readonly string[] = [],
): void {
  const { redis, auth, metrics } = values as {
    redis?: { url?: unknown; live_url?: unknown; sentinel?: { password?: unknown } | null } | null;
    auth?: { api_keys?: unknown } | null;
    metrics?: { token?: unknown } | null;
  };
  for (const key of [auth?.api_keys, metrics?.token, redis?.sentinel?.password, others].flat()) note(key);
  for (const url of [redis?.url, redis?.live_url, redisUrl]) {
    const password = ADDRESS.exec(String(url ?? ''))?.[2];
    note(password);
    note(password && decoded(password));
  }
}

function note(secret: unknown): void {
  if (typeof secret === 'string' && secret.length >= SHORTEST) known.add(secret);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // It was not encoded.
  }
}
