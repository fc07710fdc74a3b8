import { tmpdir } from 'node:os';
import path from 'node:path';
import type { PreparingSettings } from '../../worker/prepared/prepared-avatars.ts';

/** For tests that ask for no prepared picture: then nothing is written, and the folder is not made. */
export const NOT_PREPARING: PreparingSettings = {
  folder: path.join(tmpdir(), 'farm-test-not-prepared'),
  quality: 75,
  processes: 0,
};
