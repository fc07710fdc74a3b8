import { after } from 'node:test';
import { DEMO_MODEL, startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { describeResults } from './results-tests.ts';
import { describeUploads } from './uploads-tests.ts';

/** What goes into a render and what comes out of it, all of one farm: its start costs as much as some of these tests. */

const farm = await startFarm({
  models: { demo: DEMO_MODEL, small: SMALL_MODEL },
  limits: { max_audio_minutes: 0.5 },
});
after(async () => await farm[Symbol.asyncDispose]());

describeResults(farm);
describeUploads(farm);
