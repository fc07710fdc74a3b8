import { after } from 'node:test';
import { startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { describeGivingWay } from './giving-way-tests.ts';
import { describeLiveFrames } from './live-frames-tests.ts';
import { describeLiveService } from './live-service-tests.ts';
import { describeSmallRedis } from './small-redis-tests.ts';

/** Live work alone and beside renders, on one farm: its start costs as much as these tests. */

const farm = await startFarm({
  models: { small: SMALL_MODEL, broken: { ...SMALL_MODEL, model_path: SMALL_MODEL.audio_encoder_path } },
  render: { segment_frames: 10_000 },
});
after(async () => await farm[Symbol.asyncDispose]());

describeLiveService(farm);
describeGivingWay(farm);
describeLiveFrames(farm);
describeSmallRedis(farm);
