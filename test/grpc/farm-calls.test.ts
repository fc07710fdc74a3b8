import { after } from 'node:test';
import { DEMO_MODEL, startFarm } from '../support/farm.ts';
import { SMALL_HEARERS, SMALL_MODEL } from '../support/small-avatar.ts';
import { describeIdleClip, LISTENER } from './idle-clip-tests.ts';
import { describeInfer } from './infer-tests.ts';
import { describePython } from './python-tests.ts';
import { describeRenders } from './renders-tests.ts';
import { describeStream } from './stream-tests.ts';

/** Renders and live work over gRPC, all of one farm: its start costs as much as these tests. */

const farm = await startFarm({
  // Several names for one avatar, so that the jobs of streams can be told apart.
  models: {
    small: SMALL_MODEL,
    other: SMALL_MODEL,
    demo: DEMO_MODEL,
    broken: { ...SMALL_MODEL, model_path: 'D:\\models\\best.onnx' },
    stalled: SMALL_MODEL,
    hubert: { ...SMALL_HEARERS.hubert, hubert_chunks: 'short' },
    whole: SMALL_HEARERS.hubert,
    wenet: SMALL_HEARERS.wenet,
    listener: LISTENER,
    slow: { ...SMALL_MODEL, frames_per_second: 20 },
  },
  server: { queue_size: 2 },
  limits: { max_upload_mb: 1 },
});
after(async () => await farm[Symbol.asyncDispose]());

describeRenders(farm);
describeInfer(farm);
describeStream(farm);
describeIdleClip(farm);
describePython(farm);
