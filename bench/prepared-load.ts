import { createInterface } from 'node:readline/promises';
import type { AvatarSources } from '../worker/prepared/contract.ts';
import { PreparedAvatars } from '../worker/prepared/prepared-avatars.ts';

/**
 * A process of its own for the stage `prepared`, which looks at its memory from outside: `node prepared-load.ts FOLDER
 * PICTURES…` opens an avatar of these pictures. Each line on standard input is a step, and each step answers with a line
 * of JSON.
 */

const FRAMES = 523;
const SIZE = { width: 1280, height: 720 };
const SIDE = 320;

/** An avatar of 523 pictures from fewer files: the mouth is at another place each time that a file comes again. */
export function benchAvatar(paths: readonly string[]): AvatarSources {
  const rect = (index: number) => {
    const right = 2 * Math.floor(index / paths.length);
    return { x1: 528 + right, y1: 264, x2: 752 + right, y2: 488 };
  };
  return {
    frameCount: FRAMES,
    size: SIZE,
    rect,
    source: (index) => ({ background: paths[index % paths.length] ?? '' }),
  };
}

async function main(): Promise<void> {
  const [, , folder = '', ...paths] = process.argv;
  // As a GPU worker that has another model already: code is there before the memory is looked at.
  const avatars = new PreparedAvatars({ folder, quality: 75, processes: 0 }, FRAMES);
  const small = { ...benchAvatar(paths), frameCount: 1 };
  await (await avatars.open('first', small, SIDE)).pictures.picture(0);
  const steps = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const answer = async (values: object) => {
    process.stdout.write(`${JSON.stringify(values)}\n`);
    await steps.next();
  };
  await answer({});
  const startedAt = performance.now();
  const { pictures } = await avatars.open('second', benchAvatar(paths), SIDE);
  const openMs = performance.now() - startedAt;
  const face = new Uint8Array(SIDE * SIDE * 3);
  const walk = async () => {
    const before = process.cpuUsage();
    for (let index = 0; index < FRAMES; index++) {
      // As a worker does once the frame is made.
      pictures.giveBack(await pictures.picture(index));
      await pictures.face(index, face);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / FRAMES;
  };
  const first = await walk();
  const loadMs = performance.now() - startedAt;
  const later = [await walk(), await walk(), await walk()];
  const { share, cachedBytes } = pictures;
  await answer({ openMs, loadMs, first, later, cachedMb: cachedBytes / 1e6, ...share });
  process.exit();
}

if (import.meta.main) await main();
