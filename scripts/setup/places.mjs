import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '');
export const MODULES = join(ROOT, 'node_modules');
/** npm scripts and npx search this folder before PATH. */
export const BIN = join(MODULES, '.bin');

/** The program that npm scripts find under this name, or undefined. */
export function firstOnPath(name) {
  return firstIn([BIN, ...foldersOfPath()], name);
}

/** The first executable file of that name in the folders, or undefined. */
export function firstIn(folders, name) {
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function pathWithoutBin() {
  return foldersOfPath()
    .filter((folder) => folder !== BIN)
    .join(delimiter);
}

function foldersOfPath() {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // Not there, or not to be run.
  }
}
