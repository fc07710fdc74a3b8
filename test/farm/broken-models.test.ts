import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { badModels, describeBadModels } from './bad-models-tests.ts';
import { describeBlocklist } from './blocklist-tests.ts';

/**
 * Models whose files are broken, everywhere or on one GPU, or differ, and streams of that GPU. One farm for all: its
 * start costs as much as the tests.
 */

const folder = await mkdtemp(path.join(tmpdir(), 'farm-models-'));
const farm = await startFarm({
  models: {
    ...{ small: SMALL_MODEL, fine: SMALL_MODEL, differing: SMALL_MODEL, ...(await badModels(folder)) },
    elsewhere: { ...SMALL_MODEL, preferred_gpu: 7 },
  },
  render: { segment_frames: 5 },
});
after(async () => {
  await farm[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describeBadModels(farm, folder);
describeBlocklist(farm);
