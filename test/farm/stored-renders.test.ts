import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { standInTools } from '../support/tools.ts';
import { describeFarmFaults } from './farm-faults-tests.ts';
import { describeRetention } from './retention-tests.ts';

/** What a farm keeps of renders: what has expired, and what a fault left. One farm for both: a start costs as much. */

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-tools-'));
const tools = await standInTools(folder);
const usualPath = process.env.PATH;
process.env.PATH = tools.path;
const farm = await startFarm({
  models: { small: SMALL_MODEL },
  retention: { every_minutes: 0, completed_days: 365 },
  render: { attempts: 1, segment_frames: 20 },
});
process.env.PATH = usualPath;
after(async () => {
  await farm[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describeRetention(farm);
describeFarmFaults(farm, tools);
