import { setPriority } from 'node:os';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { unexpected } from '../../shared/process/unheard.ts';
import { BackdropReader } from '../avatar/backdrop.ts';
import { Compositor } from '../compositor/compositor.ts';
import { readPicture } from './prepare-picture.ts';
import { PICTURE_SUFFIX, PreparedFiles } from './prepared-files.ts';
import type { FromPreparing, ToPreparing } from './preparing-protocol.ts';

/** Entry of a process that prepares pictures. It lives as long as the channel to who has started it. */

/** The lowest priority: it gets what others leave of the cores. */
const NICENESS = 19;

if (process.send === undefined) {
  throw new FarmError('internal', 'preparing-process-main.ts was started by hand: a GPU worker starts it');
}
const send = process.send.bind(process);
setPriority(NICENESS);
process.on('disconnect', () => process.exit());
const compositor = new Compositor();
const backdrops = new BackdropReader();
process.on('message', (message: ToPreparing) => {
  carryOut(message)
    .then((answer) => send(answer))
    .catch(unexpected);
});

async function carryOut({ order, folder, reserveGb }: ToPreparing): Promise<FromPreparing> {
  const files = new PreparedFiles(folder, PICTURE_SUFFIX, reserveGb);
  try {
    const { hashes, versions, key, prepare } = await readPicture(order, backdrops);
    const found = { hashes, versions, key };
    // Another one may have prepared it meanwhile, from files of any name.
    if (files.has(key)) return { type: 'done', found };
    const file = await prepare(compositor);
    return await files.write(key, file).then(
      () => ({ type: 'done', found }),
      (fault: Error) => ({ type: 'unwritable', reason: fault.message }),
    );
  } catch (error) {
    return { type: 'unusable', error: FarmError.from(error).toReport() };
  }
}
