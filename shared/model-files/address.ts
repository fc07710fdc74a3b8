import { createHash } from 'node:crypto';
import path from 'node:path';

/** Files of models that the configuration names by an address: s3://bucket/key, https://host/path. */

/** Which addresses may be asked, as `models_from` lists them. */
export interface AddressList {
  readonly hosts: readonly string[];
  readonly buckets: readonly string[];
}

/** A file, or a folder, of a model that is fetched from an address. */
export interface RemoteFile {
  /** Its key in the entry of the model. */
  readonly key: string;
  /** Without what stands behind "#". */
  readonly address: string;
  /** What it must hash to, in lower-case hex; undefined: whatever is there. */
  readonly sha256: string | undefined;
  /** A folder is a prefix of a bucket, or an archive; a network may have weights in files beside it. */
  readonly kind: 'file' | 'network' | 'folder';
  /** Where it lies on this host once it was fetched. */
  readonly path: string;
}

const ADDRESS = /^(?:s3|https?):\/\//i;
const SHA256 = /^sha256=(?<hex>[0-9a-f]{64})$/i;
const ARCHIVE = /\.(?:tar|tar\.gz|tgz)$/i;
const NAME_LENGTH = 24;

export function isAddress(text: string): boolean {
  return ADDRESS.test(text);
}

/** Whether a folder's address names an archive; else it is a prefix of a bucket. */
export function isArchive(address: string): boolean {
  return ARCHIVE.test(new URL(address).pathname);
}

/**
 * Where the file of an address will lie, and why it must not be fetched, if that is so.
 * @param cacheDir folder of what was fetched.
 */
export function remoteFile(
  { key, text, kind }: { readonly key: string; readonly text: string; readonly kind: RemoteFile['kind'] },
  cacheDir: string,
  list: AddressList,
): { readonly file: RemoteFile; readonly problem: string | undefined } {
  const [address = '', fragment] = text.split('#', 2);
  const sha256 = fragment === undefined ? undefined : SHA256.exec(fragment)?.groups?.hex?.toLowerCase();
  const name = createHash('sha256')
    .update(`${address}#${sha256 ?? ''}`)
    .digest('hex')
    .slice(0, NAME_LENGTH);
  const file = { key, address, sha256, kind, path: path.join(cacheDir, 'names', name, lastNameOf(address)) };
  const problem = problemOf(file, fragment, list);
  return { file, problem: problem && `${key}: ${shownAddress(address)} is refused: ${problem}` };
}

/** An address without what may be a secret: a query, a name and password. */
export function shownAddress(address: string): string {
  const url = URL.parse(address);
  return url ? `${url.protocol}//${url.host}${url.pathname}` : address.replace(/[?#].*$/, '');
}

/** Why the list does not let an address be asked; undefined when it does. */
export function refusalByList(address: string, { hosts, buckets }: AddressList): string | undefined {
  const url = URL.parse(address);
  if (!url?.hostname) return 'it is no address such as https://models.example.com/anna.onnx or s3://bucket/anna.onnx';
  if (url.username !== '' || url.password !== '') return 'an address must not have a name and password in it';
  if (url.protocol === 's3:') {
    return buckets.includes(url.hostname) ? undefined : `models_from.buckets does not list ${url.hostname}`;
  }
  if (url.protocol === 'https:') {
    return hosts.some((host) => covers(host, url)) ? undefined : `models_from.hosts does not list ${url.host}`;
  }
  const isListed = hosts.some((host) => host.toLowerCase() === `http://${url.host}`);
  return isListed ? undefined : `models_from.hosts does not list http://${url.host}, so it must be https`;
}

function problemOf(
  file: Omit<RemoteFile, 'path'>,
  fragment: string | undefined,
  list: AddressList,
): string | undefined {
  const refused = refusalByList(file.address, list);
  if (refused !== undefined) return refused;
  if (fragment !== undefined && file.sha256 === undefined) return 'expected #sha256= and 64 hex digits at its end';
  const isPrefix = file.address.endsWith('/');
  if (file.kind !== 'folder') return isPrefix ? 'it names a folder, and a file is expected' : undefined;
  if (isArchive(file.address)) return undefined;
  if (!isPrefix || !file.address.toLowerCase().startsWith('s3:')) {
    return 'a folder is a prefix such as s3://bucket/anna/frames/, or an archive: .tar, .tar.gz or .tgz';
  }
  return file.sha256 === undefined ? undefined : 'a prefix has no one hash; name an archive to have it checked';
}

function covers(host: string, { host: asked, hostname }: URL): boolean {
  const listed = host.toLowerCase();
  if (listed.startsWith('*.')) return hostname.endsWith(listed.slice(1));
  return listed === asked || listed === hostname;
}

/** The last name of its path, fit for a file; networks find their weights beside them by name. */
function lastNameOf(address: string): string {
  const names = (URL.parse(address)?.pathname ?? '').split('/').filter((name) => name !== '');
  let name = names.at(-1) ?? '';
  try {
    name = decodeURIComponent(name);
  } catch {
    // Not encoded as it should be: it is a name all the same.
  }
  return name.replace(/[^\p{L}\p{N}._ -]/gu, '_').replace(/^\.+/, '_') || 'file';
}
