/** The files below a folder that may be a trained avatar's networks: exported ones, and checkpoints of the training. */

import { type Dirent, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { ignored } from '../../shared/process/unheard.ts';

/** Folders below the one that is given; training tools put exports one or two deep. */
export const SEARCHED_LEVELS = 3;
/** Bounds the search when the given folder holds far more than one avatar. */
const MAX_FOLDERS = 500;
/** Pictures and landmarks, by the thousand, and never networks. */
const PASSED_OVER = new Set(['full_body_img', 'full_imgs', 'face_imgs', 'landmarks', 'parsing', 'node_modules']);
/** Where training tools write their results: first among the folders of a level. */
const PREFERRED_FOLDER = /^checkpoints?$/i;
/** Names of PyTorch's checkpoints. */
export const CHECKPOINT = /\.(pth|pt|ckpt)$/i;
/** Networks of the training that are no lip-sync networks. */
const HELPER_NETWORK = /syncnet|encoder|optim/i;
const ENCODER = /encoder/i;
/** `195`, as the tools number them, or a number that a name calls one. */
const EPOCH = /^(?:.*(?:epoch|ep|step|iter|ckpt|checkpoint)[-_]?)?(\d+)$/i;
/** What an import makes of a checkpoint lies beside it, and is made again. */
const CONVERTED = /\.(pth|pt|ckpt)\.onnx$/i;

export interface NetworkFiles {
  readonly folder: string;
  /**
   * The nearest to the folder first, those in `checkpoint/` first at a level, then by name with numbers as numbers.
   * Without those that an import made of the checkpoints.
   */
  readonly onnxPaths: readonly string[];
  /** PyTorch checkpoints in the same order. */
  readonly checkpointPaths: readonly string[];
}

/** Looks through a folder and the folders below it. What cannot be read holds nothing. */
export async function findNetworkFiles(folder: string): Promise<NetworkFiles> {
  const files: string[] = [];
  let level = [folder];
  let foldersLeft = MAX_FOLDERS;
  for (let depth = 0; depth <= SEARCHED_LEVELS && level.length > 0; depth++) {
    const below: string[] = [];
    for (const path of level.slice(0, foldersLeft)) {
      const entries = await readdir(path, { withFileTypes: true }).catch(
        ignored<Dirent[]>('what cannot be read holds nothing', []),
      );
      entries.sort(byPreference);
      for (const entry of entries.filter(({ name }) => !name.startsWith('.'))) {
        if (!isFolder(path, entry)) files.push(join(path, entry.name));
        else if (!PASSED_OVER.has(entry.name)) below.push(join(path, entry.name));
      }
    }
    foldersLeft = Math.max(0, foldersLeft - level.length);
    level = below;
  }
  const checkpointPaths = files.filter((path) => CHECKPOINT.test(path));
  const passedOver = (path: string) => CONVERTED.test(path) && checkpointPaths.length > 0;
  const onnxPaths = files.filter((path) => path.toLowerCase().endsWith('.onnx') && !passedOver(path));
  return { folder, onnxPaths, checkpointPaths };
}

export interface NewestCheckpoint {
  readonly path: string;
  /** "the highest number of 3", "written last of 2" or "the only one". */
  readonly why: string;
}

/**
 * The checkpoint that the training wrote last: the one with the highest number for a name, as the tools number them by
 * epoch, else the file that changed last. Undefined when there is none of a lip-sync network.
 */
export async function newestCheckpoint(files: NetworkFiles): Promise<NewestCheckpoint | undefined> {
  const { folder, checkpointPaths } = files;
  const ofNetwork = checkpointPaths.filter((path) => !HELPER_NETWORK.test(relative(folder, path)));
  const dated = await Promise.all(
    ofNetwork.map(async (path) => {
      const stem = path.replace(/^.*[\\/]|\.\w+$/g, '');
      const { mtimeMs } = await stat(path).catch(
        ignored('gone meanwhile, or a link to nothing: the oldest', { mtimeMs: 0 }),
      );
      return { path, epoch: Number(EPOCH.exec(stem)?.[1] ?? -1), mtimeMs };
    }),
  );
  const [newest] = dated.sort((a, b) => b.epoch - a.epoch || b.mtimeMs - a.mtimeMs);
  if (newest === undefined) return undefined;
  const why = newest.epoch < 0 ? `written last of ${dated.length}` : `the highest number of ${dated.length}`;
  return { path: newest.path, why: dated.length === 1 ? 'the only one' : why };
}

/** Checkpoints that call themselves encoders. */
export function encoderCheckpoints({ folder, checkpointPaths }: NetworkFiles): string[] {
  return checkpointPaths.filter((path) => ENCODER.test(relative(folder, path)));
}

function byPreference(a: Dirent, b: Dirent): number {
  const preferred = Number(PREFERRED_FOLDER.test(b.name)) - Number(PREFERRED_FOLDER.test(a.name));
  return preferred || a.name.localeCompare(b.name, 'en', { numeric: true });
}

/** Links are followed: a dataset often links to the folder of its training. */
function isFolder(path: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return statSync(join(path, entry.name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}
