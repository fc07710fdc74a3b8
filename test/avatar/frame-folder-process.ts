/** `node frame-folder-process.ts <video> <folder>`: readies the folder as a worker process does, and prints its path. */

import { readyFrameFolder } from '../../worker/avatar/frame-folder.ts';

const [video = '', folder = ''] = process.argv.slice(2);
const source = { video, folder, frameLimit: undefined, format: 'png' } as const;
process.stdout.write(await readyFrameFolder(source, new AbortController().signal));
