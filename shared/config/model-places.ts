import path from 'node:path';
import { type AddressList, isAddress, type RemoteFile, remoteFile } from '../model-files/address.ts';

/** Where the files of an entry of `models:` lie on this host: local paths, and places of what is fetched. */

const WINDOWS_ABSOLUTE = /^[a-z]:[\\/]|^\\\\/i;

export interface PathRoots {
  /** Folder of the configuration file. */
  readonly configDir: string;
  readonly modelsRoot: string;
  readonly audioEncoderPath: string;
  /** Where what is fetched from addresses lies, and which may be asked; absent: none. */
  readonly remote?: { readonly cacheDir: string; readonly list: AddressList };
}

const FROM_NOWHERE = { cacheDir: '', list: { hosts: [], buckets: [] } };

/** Relative paths start at models_root, which starts at the configuration file. */
export class ModelPlaces {
  /** What is wrong with the paths and addresses so far. */
  readonly problems: string[] = [];
  /** Files that are fetched. */
  readonly remote: RemoteFile[] = [];
  readonly #modelsRoot: string;
  readonly #remote: NonNullable<PathRoots['remote']>;

  constructor({ modelsRoot, configDir, remote = FROM_NOWHERE }: PathRoots) {
    this.#modelsRoot = foreign(modelsRoot) ? modelsRoot : path.resolve(configDir, modelsRoot);
    this.#remote = remote;
  }

  /** The absolute path of a file that need not be there; "" stays "". */
  place(key: string, value: string, kind: RemoteFile['kind']): string {
    if (value === '') return '';
    if (isAddress(value)) return this.#fetched(key, value, kind);
    const base = WINDOWS_ABSOLUTE.test(value) || path.isAbsolute(value) ? '' : this.#modelsRoot;
    if (foreign(base || value)) return base ? `${base}/${value}` : value;
    return path.resolve(base, process.platform === 'win32' ? value : value.replaceAll('\\', '/'));
  }

  /** The same of a file that the model cannot do without. */
  locate(key: string, value: string, kind: RemoteFile['kind']): string {
    const placed = this.place(key, value, kind);
    if (foreign(placed)) {
      this.problems.push(`${key}: "${placed}" is a Windows path, and this machine runs ${process.platform}`);
    }
    return placed;
  }

  #fetched(key: string, text: string, kind: RemoteFile['kind']): string {
    const { cacheDir, list } = this.#remote;
    const { file, problem } = remoteFile({ key, text, kind }, cacheDir, list);
    if (problem === undefined) this.remote.push(file);
    else this.problems.push(problem);
    return file.path;
  }
}

/** True for a Windows path on another system. */
function foreign(value: string): boolean {
  return process.platform !== 'win32' && WINDOWS_ABSOLUTE.test(value);
}
