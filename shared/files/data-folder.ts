import { mkdir } from 'node:fs/promises';

/** For its owner alone: other users of the machine shall not read what was rendered. */
const MODE = 0o700;

/** Makes the data folder, `storage.root`, if it is not there. One that is there keeps the mode that somebody gave it. */
export async function makeDataFolder(storageRoot: string): Promise<void> {
  await mkdir(storageRoot, { recursive: true, mode: MODE });
}
