/** A process that prepares an avatar as a GPU worker does, and may be killed: `node preparing.ts FOLDER PICTURES
 * COUNT PROCESSES`. */

import path from 'node:path';
import { prepareAvatar } from '../../worker/prepared/prepare-avatar.ts';
import { PreparedAvatars } from '../../worker/prepared/prepared-avatars.ts';
import { avatarOf } from './sources.ts';

const [, , prepared = '', pictureFolder = '', count = '0', processes = '1'] = process.argv;
const paths = Array.from({ length: Number(count) }, (_, index) => path.join(pictureFolder, `${index}.png`));
const avatars = new PreparedAvatars({ folder: prepared, quality: 75, processes: 0 }, 1);
const { pictures, release } = await avatars.open('ann', avatarOf(paths), 160);
const log = { info() {}, warn: (...said: unknown[]) => console.error(JSON.stringify(said)) };
const options = { modelId: 'ann', folder: prepared, processes: Number(processes), fewPixels: 0, log };
await prepareAvatar(pictures, options, new AbortController().signal);
await release();
process.stdout.write(JSON.stringify(pictures.share));
